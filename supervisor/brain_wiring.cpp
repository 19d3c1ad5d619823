// Who is told what: the parts of the brain, in the order of their making, and what each of them may ask of the others.
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <csignal>

#include "supervisor/brain.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr Slot logger_slot = first_internal_slot, viewer_slot = first_internal_slot + 1;

std::vector<std::string> viewer_command(const SystemArguments& system) {
  return {system.program_directory + "/bulkhead",
          "--control",
          system.control_path,
          "events",
          "-f",
          "--format",
          system.log_format == LogFormat::json ? "json" : "terminal"};
}

// What a viewer before it has shown is on the terminal already.
std::vector<std::string> viewer_goes_on(const StateRegion& state) {
  return {"--since", std::to_string(state.next_event())};
}

}  // namespace

Brain::Brain(BrainArguments arguments, RunningConfig running, SystemConfig config,
             KeeperClient keeper, StateRegion state, SystemRecord record, IncidentStore incidents)
    : arguments_(std::move(arguments)),
      config_(std::move(config)),
      plan_(make_plan(config_)),
      keeper_(std::move(keeper)),
      sockets_(keeper_),
      state_(std::move(state)),
      record_(record),
      journal_(config_, plan_, state_),
      limits_(config_, plan_,
              CgroupTree::name_of(arguments_.system.name, arguments_.system.runtime_dir),
              keeper_.keeper_pid()),
      processes_(config_, plan_, arguments_, keeper_, state_, limits_, record.system_id),
      logs_(config_, plan_, arguments_, keeper_),
      crash_pages_(plan_, keeper_),
      incidents_(plan_, std::move(incidents), crash_pages_, journal_, make_incident_shell()),
      desk_(io_, config_, plan_, keeper_, make_desk_callbacks()),
      plain_(io_, config_, plan_, keeper_, make_plain_callbacks()),
      introducer_(config_, plan_, keeper_, make_post()),
      letters_(config_, plan_, introducer_.journals(), journal_, make_letter_callbacks()),
      supervision_(plan_, state_, record, make_shell()),
      sessions_(
          config_, plan_, make_post(), [this] { return next_session(); },
          [this](Slot slot) { return is_ready(slot); }),
      configs_(std::move(running), make_config_parts()),
      violations_(plan_.instances.size()),
      probes_(io_, [this](Slot slot, Generation of) { became_ready(slot, of); }),
      hangs_(io_, arguments_.system.program_directory),
      logger_(io_, processes_, keeper_, logger_options()),
      viewer_(io_, processes_, keeper_, viewer_options()),
      web_(io_, processes_, keeper_, web_options()),
      server_(io_, base::UniqueFd{arguments_.listener},
              {{}, arguments_.system.name, ::getpid(), keeper_.keeper_pid()},
              make_server_callbacks()),
      api_(make_api_parts()),
      voice_(io_, plan_, supervision_.state(), keeper_),
      bell_(io_, ::dup(keeper_.fd())),
      timer_(io_),
      pulse_(io_),
      farewell_(io_) {
  desk_.attach(introducer_, sessions_);
  internals_.push_back(&logger_);
  if (!arguments_.system.detached) internals_.push_back(&viewer_);
  if (config_.http) internals_.push_back(&web_);
}

void Brain::became_ready(Slot slot, Generation generation) {
  supervision_.apply(BecameReady{slot, generation});
}

bool Brain::is_ready(Slot slot) const {
  return supervision_.instance(slot).status == InstanceStatus::ready;
}

std::uint64_t Brain::next_session() {
  const auto id = supervision_.record().next_session++;
  supervision_.save();
  return id;
}

Supervision::Shell Brain::make_shell() {
  return {[this](Slot slot, Generation generation) { spawn(slot, generation); },
          [this](Slot slot) {
            const Stop& stop = plan_.instances[slot].stop;
            desk_.ask_to_stop(slot, stop.timeout);
            processes_.stop_group(slot, stop.signal);
          },
          [this](Slot slot) { processes_.kill_tree(slot); },
          [this](Slot slot) { processes_.sweep(slot); },
          [this](const Announce& what) { announce(what); },
          [this](int exit_code) { finished(exit_code); },
          [this] { changed(); },
          [this] { boost::asio::post(io_, [this] { supervision_.go_on(); }); },
          [this](const Promote& wanted) { promote(wanted); }};
}

WorkerPost Brain::make_post() {
  return {[this](Slot slot, std::string_view method, ipc::Json params, std::span<const int> fds) {
            desk_.send(slot, method, std::move(params), fds);
          },
          [this](Slot slot) { return processes_.generation(slot); },
          [this](Slot slot) { return processes_.alive(slot); }};
}

WorkerDesk::Callbacks Brain::make_desk_callbacks() {
  return {[this](Slot slot) { return processes_.generation(slot); },
          [this](Slot slot) { return processes_.pid(slot); },
          [this](Slot slot, Generation of) { became_ready(slot, of); },
          [this](Slot slot, const Error& error) { violated(slot, error); },
          [this](const auto& where, const auto& task) { quarantined(where, task); },
          [this](Slot slot) { return crash_pages_.page(slot); },
          [this](Slot slot) { return supervision_.instance(slot).was_spare; },
          [this](Slot slot) { return processes_.cookie(slot, processes_.generation(slot)); },
          [this](Slot slot) { return logs_.output(slot, logger_.port()); }};
}

DeadLetters::Callbacks Brain::make_letter_callbacks() {
  return {[this](Slot slot, std::string_view queue) {
            desk_.send(slot, ipc::method::queue_requeued, {{"link", queue}}, {});
          },
          [this](Slot slot) { return processes_.generation(slot); },
          [this](const EventRecord& event) { api_.happened(event); }};
}

ConfigDesk::Parts Brain::make_config_parts() {
  const auto instance = [this](Slot slot) -> const InstanceState& {
    return supervision_.instance(slot);
  };
  return {arguments_.system.program_directory,
          config_,
          plan_,
          keeper_,
          state_,
          instance,
          [this](const auto& wanted) { return sockets_.open(wanted); },
          [this](const auto& queue) { return introducer_.journals().room(queue); }};
}

ControlServer::Callbacks Brain::make_server_callbacks() {
  return {[this](const ClientRequest& request) { hear(request); },
          [this](ClientId client) { api_.gone(client); }};
}

ControlApi::Parts Brain::make_api_parts() {
  return {server_,
          supervision_,
          processes_,
          sessions_,
          journal_,
          logs_,
          letters_,
          configs_,
          rollout_,
          [this] { roll(); },
          [this] { hand_over(); },
          incidents_,
          desk_,
          {arguments_, plan_, keeper_, supervision_, introducer_, desk_, internals_, processes_,
           configs_, sockets_, config_, plain_, limits_}};
}

InternalWorker::Options Brain::logger_options() {
  InternalWorker::Options options;
  options.name = "logger";
  options.slot = logger_slot;
  options.command = {arguments_.system.program_directory + "/bulkhead-logger"};
  options.control = true;
  options.connected = [this](ControlPort& port) {
    introduce_logger(port);
    incidents_.logger_is_new();
  };
  options.packet = [this](const ipc::Packet& packet) { logger_said(packet); };
  return options;
}

InternalWorker::Options Brain::viewer_options() {
  InternalWorker::Options options;
  options.name = "viewer";
  options.slot = viewer_slot;
  options.command = viewer_command(arguments_.system);
  options.once_more = [this] { return viewer_goes_on(state_); };
  options.terminal = true;
  // Until it can hear that: it still has the last to show.
  options.blocked_signals = base::signal_bit(SIGTERM);
  return options;
}

Incidents::Shell Brain::make_incident_shell() {
  return {[this](const EventRecord& event) { api_.happened(event); },
          [this](Slot slot, std::uint64_t number) {
            auto* const port = logger_.port();
            if (port == nullptr) return false;
            port->send(ipc::request(log_flush_id + number, "log.tail",
                                    {{"name", plan_.instances[slot].name},
                                     {"lines", incident_layout::log_lines_max},
                                     {"bytes", incident_layout::log_bytes_max}}));
            return true;
          }};
}

PlainDesk::Callbacks Brain::make_plain_callbacks() {
  const auto generation = [this](Slot slot) { return processes_.generation(slot); };
  return {generation,
          [this](Slot slot) { return processes_.pid(slot); },
          [this](std::int32_t pid) { return processes_.is_living(pid); },
          [this, generation](Slot slot) { return processes_.cookie(slot, generation(slot)); },
          [this](Slot slot, Generation of) {
            supervision_.apply(BecameReady{slot, of});
          },
          [this](Slot slot, Generation of) { on_unheard(slot, of); },
          [this](Slot slot, Generation of, TimeNs until) {
            supervision_.apply(MoreTime{slot, of, until});
          },
          [this](Slot slot, const Error& error) { violated(slot, error); }};
}

}  // namespace bulkhead::supervisor
