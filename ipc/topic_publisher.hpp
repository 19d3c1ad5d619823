// A publisher's ends towards all of its subscribers, and the numbers that those have in common. Used by Topic and by its
// asynchronous operations, which may outlive it; knows no lane. One thread.
#pragma once

#include <bulkhead/topic.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ipc/topic_writer.hpp"

namespace bulkhead::ipc {

class TopicPublisher {
 public:
  explicit TopicPublisher(std::vector<std::shared_ptr<TopicWriter>> writers) noexcept;  // not empty

  Result<void> publish(std::span<const std::byte> bytes, Deadline);  // as Topic says
  // After a publish() that failed for want of room: the end towards the subscriber that had none. Who waits for it
  // alone waits for all, since room once found stays.
  const std::shared_ptr<TopicWriter>& lacking() const noexcept { return writers_[lacking_]; }

  std::uint64_t published() const noexcept { return published_; }
  TopicStats stats() const noexcept;
  const EndSpec& spec() const noexcept { return writers_.front()->spec(); }
  void close() noexcept;
  void leave() noexcept;

 private:
  const std::vector<std::shared_ptr<TopicWriter>> writers_;
  std::size_t lacking_ = 0;
  std::uint64_t published_ = 0, published_before_ = 0;
};

}  // namespace bulkhead::ipc
