// Nothing outlives `bulkhead map` and its inputs, whoever ends first and however.
#include <pty.h>

#include <csignal>

#include "base/process_tree.hpp"
#include "tests/support/map_run.hpp"

namespace bulkhead::test {
namespace {

class MapEnds : public Map {
 protected:
  // A command that holds the fifo open, as do a child in its group and a daemon, and says so; then it waits for ever.
  std::string lasting(const std::string& before = "") const {
    return before + "exec 3> " + held_.path() +
           "; sleep 1000 & setsid sleep 1000 & echo ready >&3; sleep 1000; sleep 1000";
  }
  // The process that runs the commands.
  static pid_t inner(const Run& run) {
    const auto children = base::children_of(run.pid());
    return children && children->size() == 1 ? children->front() : -1;
  }

  Fifo held_{directory_.path("held")};
};

TEST_F(MapEnds, killed_by_kill_9_leaves_nothing) {
  auto run = start(script({"--workers", "3", "--grace", "1h"}, lasting("trap '' TERM HUP; ")),
                   "1\n2\n3\n4\n");
  ASSERT_EQ(held_.lines(3), "ready\nready\nready\n");
  run.signal(SIGKILL);
  EXPECT_EQ(run.end().code, 128 + SIGKILL);
  EXPECT_TRUE(held_.is_let_go());
}

TEST_F(MapEnds, stopped_and_then_killed_leaves_nothing) {
  auto run = start(script({"--workers", "2"}, lasting()), "1\n2\n");
  ASSERT_EQ(held_.lines(2), "ready\nready\n");
  const auto inside = base::open_pidfd(inner(run)).value();
  ASSERT_TRUE(base::send_signal(inside.get(), SIGSTOP));
  run.signal(SIGKILL);
  EXPECT_TRUE(held_.is_let_go());
}

TEST_F(MapEnds, killed_inside_leaves_nothing_and_says_so) {
  auto run = start(script({"--workers", "2"}, lasting()), "1\n2\n3\n");
  ASSERT_EQ(held_.lines(2), "ready\nready\n");
  const auto inside = base::open_pidfd(inner(run)).value();
  ASSERT_TRUE(base::send_signal(inside.get(), SIGKILL));
  const auto ended = run.end();
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.err,
            "bulkhead: the process that ran the commands died of SIGKILL; what it ran was ended\n");
  EXPECT_TRUE(held_.is_let_go());
}

TEST_F(MapEnds, asked_to_end_prints_what_was_finished_and_ends_the_rest) {
  for (const auto& [signal, name] :
       {std::pair(SIGINT, "SIGINT"), {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}}) {
    Fifo held(directory_.path(name));
    const auto report = directory_.path("report");
    auto run = start(script({"--workers", "1", "--report", report},
                            "echo $0; test $0 = 1 || { exec 3>" + held.path() +
                                "; echo ready >&3; setsid sleep 1000 & sleep 1000; }"),
                     "1\n2\n3\n");
    ASSERT_EQ(held.lines(1), "ready\n");
    run.signal(signal);
    const auto ended = run.end();
    EXPECT_EQ(ended.code, 128 + signal);
    EXPECT_EQ(ended.out, "1\n");
    EXPECT_EQ(ended.err,
              std::string("bulkhead: stopped by ") + name + "; 1 input finished, 1 ended early\n");
    EXPECT_TRUE(held.is_let_go());
    const auto all = rows(report);
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[1]["cause"], "interrupted");
    EXPECT_EQ(all[1]["quarantined"], false);
    EXPECT_EQ(all[2]["stopped_by"], name);
  }
}

TEST_F(MapEnds, asked_twice_ends_at_once) {
  // A shell hears a signal during `wait` at once, and before it when it gets there.
  auto run =
      start(script({"--grace", "1h"}, "trap 'echo heard >&3' TERM; exec 3>" + held_.path() +
                                          "; echo ready >&3; while :; do sleep 1000 & wait; done"),
            "1\n");
  ASSERT_EQ(held_.lines(1), "ready\n");
  run.signal(SIGTERM);
  ASSERT_EQ(held_.lines(2), "ready\nheard\n");
  run.signal(SIGTERM);
  EXPECT_EQ(run.end().code, 128 + SIGTERM);
  EXPECT_TRUE(held_.is_let_go());
}

TEST_F(MapEnds, a_signal_that_was_ignored_stays_so) {
  const auto ended = shell("mkfifo begun; trap '' INT; echo 1 | " BULKHEAD_PROGRAM
                           " map -- sh -c 'echo x > begun; sleep 1000' & read x < begun; "
                           "kill -INT $!; kill -TERM $!; wait $!; echo $?");
  EXPECT_EQ(ended.out, "143\n") << ended.err;
}

TEST_F(MapEnds, waits_for_no_reader_when_it_is_to_end) {
  auto pipe = base::make_pipe().value();
  auto run = start(script({"--workers", "1", "--grace", "100ms"},
                          "head -c 200000 /dev/zero; test $0 = 1 || { exec 3>" + held_.path() +
                              "; echo ready >&3; sleep 1000; }"),
                   "1\n2\n", pipe.second.get());
  pipe.second.reset();
  ASSERT_EQ(held_.lines(1), "ready\n");
  run.signal(SIGTERM);
  const auto ended = run.end();
  EXPECT_EQ(ended.code, 128 + SIGTERM);
  EXPECT_NE(ended.err.find("output that nobody read was dropped"), std::string::npos) << ended.err;
  EXPECT_TRUE(held_.is_let_go());
}

TEST_F(MapEnds, killed_while_nobody_reads_leaves_nothing) {
  auto pipe = base::make_pipe().value();
  auto run = start(
      script({"--workers", "1"}, "test $0 = 1 && exec head -c 200000 /dev/zero; " + lasting()),
      "1\n2\n", pipe.second.get());
  ASSERT_EQ(held_.lines(1), "ready\n");
  run.signal(SIGKILL);
  EXPECT_TRUE(held_.is_let_go());
}

TEST_F(MapEnds, what_an_input_left_in_its_group_is_gone_before_the_next_begins) {
  const auto left = directory_.path("left");
  const auto ended =
      map(script({"--workers", "1"}, "for p in $(cat " + left + " 2>/dev/null); do " +
                                         "kill -0 $p 2>/dev/null && echo $p lives; done; " +
                                         "for i in 1 2 3; do sleep 1000 & echo $! >> " + left +
                                         "; done"),
          "1\n2\n3\n4\n5\n6\n7\n8\n");
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.out, "");
}

TEST_F(MapEnds, what_left_its_group_ends_with_the_whole) {
  const auto ended = map(
      script(
          "exec 3>" + held_.path() +
          "; setsid sh -c 'trap \"\" TERM HUP; echo ready >&3; sleep 1000; sleep 1000' >&3 2>&3 &"
          " read x < " +
          directory_.path() + "/none 2>/dev/null; :"),
      "1\n2\n3\n");
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_TRUE(held_.is_let_go());
}

TEST_F(MapEnds, a_reader_that_leaves_ends_the_commands) {
  auto pipe = base::make_pipe().value();
  std::string inputs;
  for (int i = 0; i < 10'000; ++i) inputs += "x\n";
  auto run = start(script("exec 3>" + held_.path() + "; echo $0"), inputs, pipe.second.get());
  pipe.second.reset();
  char byte = 0;
  ASSERT_EQ(::read(pipe.first.get(), &byte, 1), 1);
  pipe.first.reset();
  EXPECT_EQ(run.end().code, 1);
  EXPECT_TRUE(held_.is_let_go());
}

TEST_F(MapEnds, shows_progress_on_a_terminal_alone) {
  int master = -1, slave = -1;
  ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  const base::UniqueFd screen{master};
  base::UniqueFd terminal{slave};
  ASSERT_EQ(::setenv("TERM", "xterm", 1), 0);
  const auto seen = [&](std::vector<std::string> options) {
    auto run = start(script(std::move(options), "echo $0 >&2"), "1\n2\n", -1, terminal.get());
    EXPECT_EQ(run.end().code, 0);
    std::string text;
    std::array<char, 4096> chunk;
    pollfd entry{screen.get(), POLLIN, 0};
    while (text.find("finished in") == std::string::npos && ::poll(&entry, 1, 60'000) > 0) {
      const ssize_t n = ::read(screen.get(), chunk.data(), chunk.size());
      if (n <= 0) break;
      text.append(chunk.data(), static_cast<std::size_t>(n));
    }
    return text;
  };
  const auto with = seen({}), without = seen({"--no-progress"});
  EXPECT_EQ(with.rfind("\r\033[K0 ", 0), 0U) << with;
  EXPECT_NE(with.find("\r\033[K1\r\n"), std::string::npos) << "taken away before output: " << with;
  EXPECT_EQ(without.rfind("1\r\n2\r\nbulkhead: 2 inputs finished in ", 0), 0U) << without;
}

}  // namespace
}  // namespace bulkhead::test
