#include "tests/crash/sweep/lane_stage.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "ipc/end_page.hpp"
#include "ipc/lane_consumer.hpp"
#include "ipc/shm_endpoint.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

constexpr std::size_t text_bytes_max = 16384;
constexpr std::size_t text_step = 37;      // between the beginnings of two messages
constexpr std::size_t small_message = 56;  // one line with its header

}  // namespace

std::span<const std::byte> message_text(std::uint64_t index, std::size_t bytes) {
  static const auto sheet = [] {
    std::array<std::byte, text_bytes_max + 1024 * text_step> made;
    std::uint64_t random = 0x9e37'79b9'7f4a'7c15;
    for (auto& byte : made) {
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      byte = static_cast<std::byte>(random >> 32);
    }
    return made;
  }();
  return std::span(sheet).subspan(index % 1024 * text_step, bytes);
}

bool is_message(std::span<const std::byte> found, std::uint64_t index, std::size_t bytes) {
  const auto text = message_text(index, bytes);
  return found.size() == bytes &&
         (bytes == 0 || std::memcmp(found.data(), text.data(), bytes) == 0);
}

std::vector<base::UniqueFd> copy_of(int fd) {
  std::vector<base::UniqueFd> fds;
  fds.push_back(base::duplicate(fd).value());
  return fds;
}

void LaneEnd::post(ipc::LinkUpdate::Kind kind, std::uint16_t epoch,
                   std::vector<base::UniqueFd> fds) {
  endpoint->post({kind, epoch, std::move(fds)});
  attention->interrupt();
}

Result<std::shared_ptr<ipc::Endpoint>> open_lane_endpoint(
    const LaneEndSpec& spec, const std::shared_ptr<StageAttention>& attention) {
  ipc::EndSpec end;
  end.link = "sweep";
  end.side = spec.side;
  end.epoch = spec.epoch;
  // Blocking: what a waiting end executes depends on no clock and on no CPU number.
  end.options = {
      .capacity = spec.capacity, .max_message = spec.capacity / 2 - 32, .wait = WaitMode::block};
  end.survives_fork = true;  // victims are forked
  end.attention = attention;
  if (spec.predecessor >= 0) end.predecessor = base::duplicate(spec.predecessor).value();
  return ipc::open_shm_endpoint(std::move(end));
}

LaneEnd open_lane_end(const LaneEndSpec& spec) {
  LaneEnd end;
  end.endpoint = open_lane_endpoint(spec, end.attention).value();
  return end;
}

LaneStage::LaneStage(std::size_t capacity, bool introduced)
    : from(open_lane_end({.side = ipc::Side::from, .capacity = capacity})),
      to(open_lane_end({.side = ipc::Side::to, .capacity = capacity})),
      capacity_(capacity) {
  const auto look_at = [](const LaneEnd& end) {
    return ipc::Segment::attach_peer(base::duplicate(end.endpoint->segment_fd()).value()).value();
  };
  sender_.emplace(look_at(from));
  receiver_.emplace(look_at(to));
  if (!introduced) return;
  from.meet(*to.endpoint);
  to.meet(*from.endpoint);
}

void LaneStage::give_doorbells() {
  auto bells = ipc::make_doorbells().value();
  from.post(ipc::LinkUpdate::Kind::sockets, 1, std::move(bells.from));
  to.post(ipc::LinkUpdate::Kind::sockets, 1, std::move(bells.to));
}

void LaneStage::plan(std::size_t bytes) {
  sizes_.push_back(bytes);
  const std::uint64_t record = ipc::record_bytes(bytes), position = ends_.back();
  const std::uint64_t at = position & (capacity_ - 1);
  ends_.push_back((at + record > capacity_ ? position + capacity_ - at : position) + record);
}

bool LaneStage::send(std::size_t bytes) {
  if (sizes_.size() == sent_ + 1) plan(bytes);
  if (!from.endpoint->send(message_text(sent_ + 1, sizes_[sent_ + 1]), Deadline::now())) {
    return false;
  }
  ++sent_;
  return true;
}

bool LaneStage::receive(bool keep) {
  auto message = to.endpoint->receive(Deadline::now());
  if (!message) return false;
  ++received_;
  if (received_ >= sizes_.size()) {
    complain("more messages came than were sent");
    return false;
  }
  if (!check_message(early_, *message, received_, false)) return false;
  if (keep) kept_.push_back(std::move(*message));
  return true;
}

void LaneStage::lap(std::size_t bytes) {
  while (ends_[sent_] < capacity_ + capacity_ / 4) {
    if (!send(bytes) || !receive()) give_up("sweep: a lane does not go round");
  }
}

void LaneStage::advance_to_wrap(std::size_t bytes) {
  while (offset() + ipc::record_bytes(bytes) <= capacity_) {
    if (!send(small_message) || !receive()) give_up("sweep: a lane does not go round");
  }
}

bool LaneStage::check_message(Verdict& verdict, const Message& message, std::uint64_t index,
                              bool redelivered) {
  const std::string name = "message " + std::to_string(index);
  return verdict.expect(message.index() == index,
                        name + " was lost, or another came in its place") &&
         verdict.expect(is_message(message.bytes(), index, sizes_[index]), name + " is torn") &&
         verdict.expect(message.redelivered() == redelivered,
                        name + (redelivered ? " comes again without saying so"
                                            : " claims to come again although it does not"));
}

std::uint64_t LaneStage::end_of(std::uint64_t index) const {
  return index < ends_.size() ? ends_[index] : ipc::position_mask;
}

// The words of both pages: pairs that belong together, within what the dead had come to.
std::optional<LaneStage::Left> LaneStage::read_pages(Verdict& verdict, const Deaths& deaths) {
  const auto acknowledged = load_acknowledged(receiver_->page());
  const auto committed = load_committed(sender_->page());
  const bool readable =
      verdict.expect(acknowledged && committed, "a pair of words is never at rest");
  if (!readable) return std::nullopt;
  const ipc::Cursor none{};
  const bool belongs = acknowledged->count == 0
                           ? acknowledged->cursor == none
                           : acknowledged->cursor == ipc::Cursor{1, end_of(acknowledged->count)};
  verdict.expect(belongs, "the acknowledged position and count do not belong together");
  verdict.expect(committed->position == end_of(committed->count),
                 "the committed position and count do not belong together");
  const ipc::Cursor taken = load_taken(receiver_->page());
  const auto at = std::find(ends_.begin(), ends_.end(), taken.position);
  if (!verdict.expect(at != ends_.end(), "the taken position lies within a message")) {
    return std::nullopt;
  }
  const Left left{acknowledged->count, static_cast<std::uint64_t>(at - ends_.begin()),
                  committed->count};
  if (deaths.receiver) {
    verdict.expect(deaths.receiver->acknowledged.holds(left.acknowledged),
                   "the acknowledged count is not what was acknowledged");
    verdict.expect(deaths.receiver->taken.holds(left.taken),
                   "the taken word is not what was taken");
  }
  return verdict.is_good() ? std::optional(left) : std::nullopt;
}

// (I1): everything from the cursor on is complete. (I2): after it comes a zero head, also behind padding;
// else poll() finds a violation. (I3): a header is there if and only if the record is.
bool LaneStage::walk(Verdict& verdict, Left& left, std::uint64_t position, std::uint64_t batch) {
  ipc::LaneConsumer walker(sender_->ring(), position, left.acknowledged);
  ipc::LaneConsumer::Record record;
  for (;;) {
    const auto found = walker.poll(record);
    if (found == ipc::LaneConsumer::Found::violation) {
      return verdict.expect(false, std::string("(I2) in the dead lane: ") + walker.complaint());
    }
    if (found == ipc::LaneConsumer::Found::nothing) break;
    if (!verdict.expect(record.index < sizes_.size(), "(I3) a record is there that nobody sent") ||
        !verdict.expect(is_message(record.bytes, record.index, sizes_[record.index]),
                        "(I1) record " + std::to_string(record.index) + " is torn")) {
      return false;
    }
  }
  verdict.expect(
      walker.last_index() == left.committed || walker.last_index() == left.committed + batch,
      "(I3) the end page is more than one commit behind the records");
  left.committed = walker.last_index();
  return verdict.is_good();
}

void LaneStage::deliver(Verdict& verdict, const Left& left, bool receiver_died, LaneEnd& receiver) {
  std::vector<Message> views = std::move(kept_);
  std::uint64_t next = (receiver_died ? left.acknowledged : received_) + 1;
  for (; next <= left.committed; ++next) {
    auto message = receiver.endpoint->receive(Deadline::now());
    if (!verdict.expect(message.has_value(),
                        "message " + std::to_string(next) + " does not come")) {
      return;
    }
    const bool again = receiver_died && next <= left.taken;
    if (!check_message(verdict, *message, next, again)) return;
    views.push_back(std::move(*message));
  }
  for (const Message& view : views) {
    verdict.expect(is_message(view.bytes(), view.index(), sizes_[view.index()]),
                   "(I1) a message was written to while somebody looked at it");
  }
  const auto more = receiver.endpoint->receive(Deadline::now());
  verdict.expect(!more && more.error().is(Errc::would_block), "something comes that nobody sent");
}

// The link goes on: the whole ring can be filled, everything in it arrives, and once more.
void LaneStage::go_round(Verdict& verdict, LaneEnd& sender, LaneEnd& receiver) {
  const std::uint64_t first = sender.endpoint->last_committed() + 1;
  const std::uint64_t room = capacity_ / ipc::record_bytes(small_message) - 1;
  std::uint64_t next = first;
  while (sender.endpoint->send(message_text(next, small_message), Deadline::now())) ++next;
  verdict.expect(next - first == room, "the ring holds " + std::to_string(next - first) +
                                           " messages, not " + std::to_string(room));
  for (std::uint64_t index = first; index < next + 2 && verdict.is_good(); ++index) {
    if (index >= next) {
      verdict.expect(
          sender.endpoint->send(message_text(index, small_message), Deadline::now()).has_value(),
          "the link takes nothing any more");
    }
    const auto message = receiver.endpoint->receive(Deadline::now());
    verdict.expect(message && message->index() == index && !message->redelivered() &&
                       is_message(message->bytes(), index, small_message),
                   "the link does not go on at message " + std::to_string(index));
  }
  for (const LaneEnd* end : {&sender, &receiver}) {
    const ChannelStats stats = end->endpoint->stats();
    verdict.expect(stats.violations == 0, "a living end speaks of a violation");
    verdict.expect(stats.safety_net == 0, "a wake-up was lost");
  }
}

void LaneStage::settle(Verdict& verdict, const Deaths& deaths, const Heirs& heirs) {
  verdict.expect(early_.is_good(), early_.complaint());
  auto left = read_pages(verdict, deaths);
  if (!left) return;
  const auto acknowledged = load_acknowledged(receiver_->page());
  if (!walk(verdict, *left, acknowledged->cursor.position, deaths.batch)) return;
  const Range committed = deaths.committed.value_or(Range{sent_, sent_});
  if (!verdict.expect(committed.holds(left->committed), "(I3) " + std::to_string(left->committed) +
                                                            " messages are committed, of " +
                                                            std::to_string(committed.low) + " to " +
                                                            std::to_string(committed.high))) {
    return;
  }
  if (!verdict.expect((left->committed - committed.low) % deaths.batch == 0,
                      "(I3) a batch is committed in part")) {
    return;
  }
  // As the brain does it: the dead are confirmed first, the successors take over, then all meet.
  LaneEnd sender = from, receiver = to;
  const auto inherit = [&](ipc::Side side, const LaneEnd& dead) {
    const int memory = heirs.memory >= 0 ? heirs.memory : dead.endpoint->segment_fd();
    return open_lane_end({side, heirs.epoch, capacity_, memory});
  };
  const auto bury = [&](LaneEnd& survivor) {
    for (std::uint16_t epoch = 1; epoch < heirs.epoch; ++epoch) survivor.bury(epoch);
  };
  if (deaths.committed) {
    sender = inherit(ipc::Side::from, from);
    verdict.expect(sender.endpoint->last_committed() == left->committed,
                   "the sender's successor does not number on");
  }
  if (deaths.receiver) {
    receiver = inherit(ipc::Side::to, to);
    verdict.expect(receiver.endpoint->resume_point() == left->acknowledged + 1,
                   "the receiver's successor does not resume after what was acknowledged");
    receiver.meet(*from.endpoint);
    if (!deaths.committed) bury(sender);
  }
  if (deaths.committed) {
    bury(receiver);
    receiver.meet(*sender.endpoint);
  }
  sender.meet(*receiver.endpoint);
  deliver(verdict, *left, deaths.receiver.has_value(), receiver);
  if (verdict.is_good()) go_round(verdict, sender, receiver);
}

}  // namespace bulkhead::sweep
