#include "workers/serving.hpp"

#include <poll.h>

#include <utility>

#include "ipc/endpoint.hpp"
#include "workers/poll_until.hpp"

namespace bulkhead::workers {

Serving::Serving(ControlLink& control, std::string service, const Service& methods)
    : control_(control), service_(std::move(service)), methods_(methods) {}

Serving::~Serving() {
  while (!sessions_.empty()) drop(sessions_.size() - 1);
}

Result<void> Serving::until(Deadline deadline) {
  for (;;) {
    control_.glance();
    admit();
    if (deadline.stopped()) return make_error(Errc::stopped, "serving " + service_);
    if (answer_each()) continue;
    if (deadline.expired()) return make_error(Errc::timed_out, "serving " + service_);
    sleep(deadline);
  }
}

void Serving::admit() {
  while (auto session = control_.accept(service_)) sessions_.push_back(std::move(*session));
}

bool Serving::answer_each() {
  bool any = false;
  for (std::size_t position = 0; position < sessions_.size();) {
    const auto answered = serve_one(*sessions_[position].channel, methods_);
    if (!answered) {
      drop(position);  // the next one moves here
      continue;
    }
    any = any || *answered;
    ++position;
  }
  return any;
}

void Serving::sleep(Deadline deadline) {
  std::vector<pollfd> plans;
  plans.push_back({control_.fd(), POLLIN, 0});
  std::size_t armed = 0;
  bool look = false;
  for (; armed < sessions_.size() && !look; ++armed) {
    auto& endpoint = sessions_[armed].channel->endpoint();
    look = endpoint.prepare_receive_wait();
    const auto plan = endpoint.receive_plan();
    plans.push_back({plan.fd, plan.events, 0});  // poll skips what has no descriptor yet
  }
  if (!look) {
    control_.sleeping(true);
    poll_until(plans, deadline);
    control_.sleeping(false);
  }
  for (std::size_t position = 0; position < armed; ++position) {
    sessions_[position].channel->endpoint().finish_receive_wait();
  }
  if ((plans.front().revents & POLLIN) != 0) control_.service();
}

void Serving::drop(std::size_t position) {
  auto& session = sessions_[position];
  session.channel->close();
  control_.close_session(session.pair);
  sessions_.erase(sessions_.begin() + static_cast<std::ptrdiff_t>(position));
}

}  // namespace bulkhead::workers
