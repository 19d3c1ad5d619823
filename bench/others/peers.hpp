// Other people's libraries as contestants of the round-trip race, and as streams: each used as its own manual
// recommends, between two pinned processes, with a message of the same size. Used by race.cpp and streams.cpp.
//
// Nothing of a library may exist before the fork, since most of them start threads: each mechanism opens its
// end in enter_ping() or enter_echo(). Names of sockets, queues and services carry our pid.
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "bench/contestant.hpp"
#include "bench/stream.hpp"

namespace bulkhead::bench::others {

enum class Waiting { polling, blocking };

// An end that cannot be opened, or loses its peer, shows as a broken round.
using Started = Result<std::unique_ptr<Contestant>>;
Started start_zeromq(Processors, std::size_t bytes, Waiting);              // PAIR over ipc://
Started start_nng(Processors, std::size_t bytes, Waiting);                 // pair0 over ipc://
Started start_posix_queue(Processors, std::size_t bytes, Waiting);         // mq_send, mq_receive
Started start_interprocess_queue(Processors, std::size_t bytes, Waiting);  // Boost message_queue
// Two topics. Needs its daemon, iox-roudi: see apart.hpp.
Started start_iceoryx(Processors, std::size_t bytes, Waiting);
// These two wait in their own loops, which sleep.
Started start_capnproto(Processors, std::size_t bytes);  // Cap'n Proto RPC over a unix socket
Started start_grpc(Processors, std::size_t bytes);       // a unary call over a unix socket

// The same one way, blocking: the sender waits for room, the receiver for a message; nothing is dropped.
StartedStream stream_zeromq(Processors, std::size_t bytes);
StartedStream stream_nng(Processors, std::size_t bytes);
StartedStream stream_posix_queue(Processors, std::size_t bytes);
StartedStream stream_interprocess_queue(Processors, std::size_t bytes);
StartedStream stream_iceoryx(Processors, std::size_t bytes);

// "/tmp/…" or "…": one name for both processes of a contestant, of this run only.
std::string own_name(const std::string& what, const char* direction);

}  // namespace bulkhead::bench::others
