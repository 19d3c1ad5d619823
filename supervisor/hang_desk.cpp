#include "supervisor/hang_desk.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <optional>
#include <utility>

#include "base/child_process.hpp"
#include "base/fd.hpp"
#include "base/spawn.hpp"
#include "supervisor/incident_layout.hpp"

namespace bulkhead::supervisor {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds window{100};
constexpr milliseconds patience{2000};
// Each takes a processor for some milliseconds, and when very many workers hang one stack is like the other.
constexpr std::size_t stacks_at_once = 4;
constexpr std::size_t stacks_bytes = incident_layout::threads_bytes_max * 3 / 4;
constexpr std::uint64_t memory_max = std::uint64_t{4} << 30, seconds_max = 5;

}  // namespace

class HangDesk::Examination : public std::enable_shared_from_this<Examination> {
 public:
  Examination(asio::io_context& io, pid_t process, Done done)
      : io_(io), timer_(io), output_(io), process_(process), done_(std::move(done)) {}

  void begin(std::function<std::string()> program) {
    program_ = std::move(program);
    before_ = look_at_threads(process_);
    after(window, [this] { look_again(); });
  }

  void cancel() {
    done_ = nullptr;
    timer_.cancel();
    end_helper();
  }

  bool has_helper() const noexcept { return helper_.has_value(); }

 private:
  template <class Act>
  void after(milliseconds span, const Act& act) {
    timer_.expires_after(span);
    timer_.async_wait([self = shared_from_this(), act](const auto& error) {
      if (!error && self->done_) act();
    });
  }

  void look_again() {
    if (before_) now_ = look_at_threads(process_);
    if (!before_ || !now_) return finish("");
    verdict_ = judge(*before_, *now_);
    if (verdict_.hang == Hang::starved) return finish("");  // nothing is wrong with it
    const std::string program = program_();
    if (program.empty()) return finish("too many workers hang at once to take the stacks of all");
    if (const auto begun = begin_helper(program); !begun) return finish(begun.error().to_string());
    after(patience, [this] { finish("its stacks could not be taken within 2 s"); });
  }

  Result<void> begin_helper(const std::string& program) {
    auto pipe = base::make_pipe();
    if (!pipe) return pipe.error();
    base::SpawnPlan plan;
    plan.executable = program;
    plan.argv = {program, "threads", std::to_string(process_), std::to_string(stacks_bytes)};
    plan.output = pipe->second.get();
    plan.errors = STDERR_FILENO;
    plan.limits = {{RLIMIT_AS, memory_max, memory_max}, {RLIMIT_CPU, seconds_max, seconds_max}};
    plan.death_signal = base::DeathSignal{SIGKILL, ::getpid()};
    auto spawned = base::spawn(plan);
    if (!spawned) return spawned.error();
    helper_.emplace(std::move(*spawned), base::ChildProcess::OnDestroy::kill);
    output_.assign(pipe->first.release());
    read_on();
    return {};
  }

  void read_on() {
    output_.async_read_some(
        asio::buffer(chunk_), [self = shared_from_this()](const auto& error, std::size_t bytes) {
          if (!self->done_) return;
          self->stacks_.append(self->chunk_.data(), bytes);
          if (error || self->stacks_.size() > stacks_bytes) {
            return self->finish(self->stacks_.empty() ? "bulkhead-symboliser ended without a word"
                                                      : "");
          }
          self->read_on();
        });
  }

  // The threads go on when who holds them dies.
  void end_helper() {
    boost::system::error_code ignored;
    output_.close(ignored);
    helper_.reset();
  }

  void finish(const std::string& problem) {
    end_helper();
    timer_.cancel();
    HangReport report{verdict_, {}};
    if (before_ && now_) {
      report.threads = merge_threads(*before_, *now_, problem.empty() ? stacks_ : "", problem,
                                     incident_layout::threads_bytes_max);
    }
    const auto done = std::exchange(done_, nullptr);
    done(report);
  }

  asio::io_context& io_;
  asio::steady_timer timer_;
  asio::posix::stream_descriptor output_;
  const pid_t process_;
  Done done_;
  std::function<std::string()> program_;
  Result<ThreadsSeen> before_ = ThreadsSeen{}, now_ = ThreadsSeen{};
  Verdict verdict_;
  std::optional<base::ChildProcess> helper_;
  std::array<char, 4096> chunk_{};
  std::string stacks_;
};

HangDesk::HangDesk(asio::io_context& io, std::string program_directory)
    : io_(io), program_(std::move(program_directory) + "/bulkhead-symboliser") {}

HangDesk::~HangDesk() {
  while (!open_.empty()) cancel(open_.begin()->first);
}

void HangDesk::examine(Slot slot, pid_t process, Done done) {
  cancel(slot);
  const auto examination = std::make_shared<Examination>(
      io_, process, [this, slot, done = std::move(done)](const HangReport& report) {
        const auto ended = open_.extract(slot);  // alive until we return
        done(report);
      });
  open_[slot] = examination;
  examination->begin([this] {
    const auto busy = std::count_if(open_.begin(), open_.end(),
                                    [](const auto& other) { return other.second->has_helper(); });
    return static_cast<std::size_t>(busy) < stacks_at_once ? program_ : std::string();
  });
}

void HangDesk::cancel(Slot slot) {
  const auto found = open_.find(slot);
  if (found == open_.end()) return;
  found->second->cancel();
  open_.erase(found);
}

}  // namespace bulkhead::supervisor
