// Erlang/OTP keeps processes of its own VM; a program of the system is a port there. As its manual has it, a gen_server
// owns the port and stops when the program has ended, and a supervisor restarts that gen_server.
#include "bench/others/supervisors/recipe.hpp"

namespace bulkhead::bench::others {
namespace {

constexpr const char* kept_application = R"({application, kept, [
  {vsn, "1"}, {modules, [kept, port_owner]}, {registered, []}, {applications, [kernel, stdlib]}, {mod, {kept, []}}]}.
)";

// As many restarts as there are kills: one more than `intensity` in `period` seconds would end it.
constexpr const char* kept_module = R"(-module(kept).
-behaviour(application).
-behaviour(supervisor).
-export([start/2, stop/1, init/1]).

start(_Type, _Arguments) -> supervisor:start_link(?MODULE, []).
stop(_State) -> ok.
init([]) ->
    {ok, {#{strategy => one_for_one, intensity => 1000000, period => 1},
          [#{id => port_owner, start => {port_owner, start_link, []}, restart => permanent}]}}.
)";

constexpr const char* port_owner_module = R"(-module(port_owner).
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2, handle_info/2]).

start_link() -> gen_server:start_link(?MODULE, [], []).
init([]) -> {ok, open_port({spawn_executable, "./run"}, [exit_status])}.
handle_call(_Request, _From, Port) -> {reply, ok, Port}.
handle_cast(_Request, Port) -> {noreply, Port}.
handle_info({Port, {exit_status, Status}}, Port) -> {stop, {exit_status, Status}, Port}.
)";

constexpr const char* start_expression =
    "[{ok, _} = c:c(Module) || Module <- [kept, port_owner]], ok = application:start(kept, "
    "permanent).";

}  // namespace

Recipe erlang_recipe() {
  return {"erlang/otp",
          "erlang-base",
          "erl",
          {"-noinput", "-eval", start_expression},
          {},
          {{"kept.app", kept_application},
           {"kept.erl", kept_module},
           {"port_owner.erl", port_owner_module}}};
}

}  // namespace bulkhead::bench::others
