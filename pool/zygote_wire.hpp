// What a pool and its zygote say to each other. Used by both ends; knows no socket.
#pragma once

#include <array>
#include <cstdint>

namespace bulkhead::pool {

// The first descriptor of a zygote, and of a worker that it starts by exec.
inline constexpr int first_fd = 3;
inline constexpr const char* zygote_role = "--bulkhead-pool=zygote";
inline constexpr const char* worker_role = "--bulkhead-pool=worker";

// What a worker inherits, in the order in which the request carries it.
enum WorkerFd : unsigned { side_fd, page_fd, crash_fd, segment_fd, message_bell_fd, space_bell_fd };
inline constexpr std::size_t worker_fds = 6;

// From the owner, with the worker's descriptors.
struct BirthOrder {
  std::uint64_t birth = 0;  // names it in the answers
  std::uint64_t memory_max = 0;
  std::uint32_t exec = 0;
};

struct ZygoteWord {
  enum class Kind : std::uint32_t {
    hello = 1,   // first: what program this is
    born = 2,    // with a pidfd
    unborn = 3,  // no worker, and why
    died = 4,
  };
  Kind kind = Kind::hello;
  std::int32_t pid = 0;
  std::uint64_t birth = 0;
  std::int32_t code = 0, status = 0;  // died: as waitid says
  std::uint32_t tasks = 0;            // hello: how many are registered
  std::uint32_t build_id_bytes = 0;
  std::array<unsigned char, 32> build_id{};  // hello
  char text[160] = {};  // unborn: why; born: why by exec and not by fork, "" for a fork
};

// The program's own, of the GNU note that the linker writes; no bytes where there is none.
void note_build_id(ZygoteWord&) noexcept;

}  // namespace bulkhead::pool
