// A topic's publisher is killed while it publishes, and a subscriber while it takes and acknowledges, under
// every policy. Paused, each meets what the other does meanwhile: a subscriber is overtaken in the middle
// of a copy.
#include <atomic>
#include <initializer_list>
#include <memory>
#include <string>

#include "ipc/end_page.hpp"
#include "ipc/topic_reader.hpp"
#include "ipc/topic_record.hpp"
#include "ipc/topic_writer.hpp"
#include "tests/crash/sweep/lane_stage.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

using ipc::Side;

constexpr std::size_t capacity = 4096;
enum class Ring { fresh, lapped };

// Both ends, the way of a message between them, and what the subscriber was given or told.
class TopicStage {
 public:
  TopicStage(Transport transport, Overflow overflow, std::size_t bytes)
      : transport_(transport), overflow_(overflow), bytes_(bytes) {
    writer_ = std::static_pointer_cast<ipc::TopicWriter>(open(Side::from, 1, -1));
    reader_ = std::static_pointer_cast<ipc::TopicReader>(open(Side::to, 1, -1));
    introduce();
  }

  ipc::TopicWriter& writer() { return *writer_; }
  ipc::TopicReader& reader() { return *reader_; }
  std::uint64_t accounted() const noexcept { return accounted_; }

  // False when a policy that waits would have to.
  bool publish() {
    const std::uint64_t next = writer_->number() + 1;
    writer_->look_around();
    if (!writer_->await_room(bytes_, Deadline::now())) return false;
    writer_->publish(message_text(next, bytes_), next);
    writer_->wake();
    return true;
  }
  void lap() {
    for (std::size_t used = 0; used < 3 * capacity; used += ipc::topic_record_bytes(bytes_)) {
      publish();
      if (overflow_ == Overflow::block) receive();
    }
  }
  // Nothing is given twice, torn, or missing without a word.
  bool is_sound(const ipc::TopicDelivery& delivery, std::uint64_t before) const {
    const auto found = std::as_bytes(std::span(delivery.words)).first(delivery.bytes);
    const auto expected = message_text(delivery.number, bytes_);
    bool same = delivery.number == before + delivery.gap + 1 && found.size() == bytes_;
    // Byte by byte: victims call this, and what memcmp executes depends on where the heap lies.
    for (std::size_t i = 0; same && i < bytes_; ++i) same = found[i] == expected[i];
    return same;
  }
  bool receive() {
    auto delivery = reader_->take(Deadline::now());
    if (!delivery) {
      early_.expect(delivery.error().is(Errc::would_block), "the lane ends with an error");
      return false;
    }
    early_.expect(is_sound(*delivery, accounted_), "a message is torn, or missing and not told");
    accounted_ = delivery->number;
    reader_->settle(*delivery);
    return true;
  }
  void receive_all() {
    while (receive()) continue;
  }

  void replace_writer(Verdict& verdict) {
    const auto page = page_of(*writer_);
    const auto before = load_committed(page.page());
    auto heir = open(Side::from, 2, writer_->segment_fd());
    reader_->post({ipc::LinkUpdate::Kind::peer_died, 1, {}});
    writer_ = std::static_pointer_cast<ipc::TopicWriter>(std::move(heir));
    const bool on = before && (writer_->number() == before->count ||
                               writer_->number() == before->count + 1);  // (T3)
    verdict.expect(on && writer_->number() == ipc::last_given(page.page(), page.ring(), *before),
                   "the publisher's successor does not number on");
    introduce();
  }
  void replace_reader(Verdict& verdict) {
    const auto before = load_acknowledged(page_of(*reader_).page());
    auto heir = open(Side::to, 2, reader_->segment_fd());
    writer_->post({ipc::LinkUpdate::Kind::peer_died, 1, {}});
    reader_ = std::static_pointer_cast<ipc::TopicReader>(std::move(heir));
    verdict.expect(before && reader_->resume_point() == before->count + 1,
                   "the subscriber's successor does not resume after what was acknowledged");
    if (before) accounted_ = before->count;
    introduce();
  }
  // Everything that was published is given or told, and the topic goes on.
  void settle(Verdict& verdict) {
    receive_all();
    for (int i = 0; i < 200 && early_.is_good(); ++i) {
      if (!publish()) early_.expect(false, "the topic takes nothing any more");
      if (i % 3 == 0) receive_all();
    }
    receive_all();
    publish();  // tells what was dropped last
    receive_all();
    verdict.expect(early_.is_good(), early_.complaint());
    verdict.expect(accounted_ == writer_->number(), "a message neither came nor was told");
    verdict.expect(writer_->stats().violations + reader_->stats().violations == 0,
                   "a living end speaks of a violation");
  }
  static ipc::PeerSegment page_of(const ipc::Endpoint& end) {
    return ipc::Segment::attach_peer(base::duplicate(end.segment_fd()).value()).value();
  }

 private:
  std::shared_ptr<ipc::Endpoint> open(Side side, std::uint16_t epoch, int predecessor) const {
    ipc::EndSpec spec;
    spec.link = "sweep";
    spec.side = side;
    spec.epoch = epoch;
    spec.options = {
        .capacity = capacity, .max_message = capacity / 2 - 32, .wait = WaitMode::block};
    spec.topic = TopicPolicy{overflow_, 0};
    spec.survives_fork = true;  // victims are forked
    spec.attention = std::make_shared<StageAttention>();
    if (predecessor >= 0) spec.predecessor = base::duplicate(predecessor).value();
    return ipc::open_topic_end(transport_, std::move(spec)).value();
  }
  void introduce() {
    const auto meet = [](ipc::Endpoint& end, const ipc::Endpoint& peer) {
      end.post(
          {ipc::LinkUpdate::Kind::peer_segment, peer.spec().epoch, copy_of(peer.segment_fd())});
    };
    meet(*writer_, *reader_);
    meet(*reader_, *writer_);
    if (transport_ == Transport::shm) return;
    auto sockets = ipc::make_sockets(transport_).value();
    using Kind = ipc::LinkUpdate::Kind;
    writer_->post({Kind::sockets, reader_->spec().epoch, std::move(sockets.from)});
    reader_->post({Kind::sockets, writer_->spec().epoch, std::move(sockets.to)});
  }

  const Transport transport_;
  const Overflow overflow_;
  const std::size_t bytes_;
  std::shared_ptr<ipc::TopicWriter> writer_;
  std::shared_ptr<ipc::TopicReader> reader_;
  std::uint64_t accounted_ = 0;  // by the reader of now, or acknowledged by the one before
  Verdict early_;                // found while the survivor worked
};

class Publish final : public Operation {
 public:
  Publish(Transport transport, Overflow overflow, Ring ring, std::size_t bytes)
      : stage_(transport, overflow, bytes) {
    if (ring == Ring::lapped) stage_.lap();
    progress_->committed = stage_.writer().number();
  }

  void act(int) override {
    for (int i = 0; i < 2; ++i) {
      if (!stage_.publish()) return;
      ++progress_->committed;
    }
  }
  void work_beside(Verdict&) override { stage_.receive_all(); }
  void check(Verdict& verdict) override {
    const std::uint64_t committed = progress_->committed;
    const auto found = load_committed(TopicStage::page_of(stage_.writer()).page());
    const bool as_said = found && (found->count == committed || found->count == committed + 1);
    verdict.expect(as_said, "(T3) what is committed is not what was published");
    stage_.replace_writer(verdict);
    stage_.settle(verdict);
  }

 private:
  struct Progress {
    std::atomic<std::uint64_t> committed;
  };
  TopicStage stage_;
  Shared<Progress> progress_;
};

class Receive final : public Operation {
 public:
  Receive(Transport transport, Overflow overflow, std::size_t bytes)
      : stage_(transport, overflow, bytes) {
    stage_.lap();
    stage_.receive_all();
    for (int i = 0; i < 3; ++i) stage_.publish();
    progress_->acknowledged = stage_.accounted();
  }

  void act(int) override {
    std::uint64_t before = progress_->acknowledged;
    for (int i = 0; i < 3; ++i) {
      auto delivery = stage_.reader().take(Deadline::now());
      if (!delivery) return;
      if (!stage_.is_sound(*delivery, before)) ++progress_->unsound;
      before = delivery->number;
      progress_->taken = before;
      stage_.reader().settle(*delivery);
      progress_->acknowledged = before;
    }
  }
  void work_beside(Verdict&) override {
    for (int i = 0; i < 150; ++i) stage_.publish();
  }
  void check(Verdict& verdict) override {
    verdict.expect(progress_->unsound == 0, "(T2) a message is torn, or missing and not told");
    const auto found = load_acknowledged(TopicStage::page_of(stage_.reader()).page());
    const std::uint64_t low = progress_->acknowledged, high = progress_->taken;
    const bool as_said = found && (found->count == low || found->count == high);
    verdict.expect(as_said, "the acknowledged number is not what was acknowledged");
    stage_.replace_reader(verdict);
    stage_.settle(verdict);
  }

 private:
  struct Progress {
    std::atomic<std::uint64_t> taken, acknowledged, unsound;
  };
  TopicStage stage_;
  Shared<Progress> progress_;
};

}  // namespace

namespace {

void add_rows(Rows& rows, Transport transport, std::initializer_list<std::size_t> sizes) {
  const std::string over =
      transport == Transport::shm ? "" : std::string(to_string(transport)) + '.';
  for (const auto overflow :
       {Overflow::block, Overflow::drop_oldest, Overflow::drop_newest, Overflow::conflate}) {
    constexpr const char* names[] = {"block", "drop_oldest", "drop_newest", "conflate"};
    const std::string name = names[static_cast<int>(overflow)];
    for (const std::size_t bytes : sizes) {
      for (const Ring ring : {Ring::fresh, Ring::lapped}) {
        rows.push_back(
            {"topic.publish." + over + name + (ring == Ring::fresh ? ".fresh." : ".lapped.") +
                 std::to_string(bytes),
             [=] { return std::make_unique<Publish>(transport, overflow, ring, bytes); }});
        rows.back().paused = true;
      }
      rows.push_back({"topic.receive." + over + name + '.' + std::to_string(bytes),
                      [=] { return std::make_unique<Receive>(transport, overflow, bytes); }});
      rows.back().paused = true;
    }
  }
}

}  // namespace

Rows topic_lane() {
  Rows rows;
  add_rows(rows, Transport::shm, {8, 100, 600});
  // The same lane, whose messages come over a connection as well.
  add_rows(rows, Transport::unix_socket, {100});
  return rows;
}

}  // namespace bulkhead::sweep
