// Known to be bad: synchronisation that other people use and that does not survive a kill. A Vyukov ring
// whose producer dies between claim and publish, a semaphore whose token dies with its holder, a
// read-write lock that stays locked.
#include <pthread.h>
#include <semaphore.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

// D. Vyukov's bounded MPMC queue, with sequentially consistent operations throughout.
struct VyukovRing {
  static constexpr std::uint64_t capacity = 8;
  struct Cell {
    std::atomic<std::uint64_t> sequence;
    std::uint64_t value;
  };
  std::array<Cell, capacity> cells;
  std::atomic<std::uint64_t> head, tail;

  void begin() {
    for (std::uint64_t i = 0; i < capacity; ++i) cells[i].sequence = i;
  }
  bool push(std::uint64_t value) {
    for (std::uint64_t at = tail;;) {
      Cell& cell = cells[at % capacity];
      const std::uint64_t sequence = cell.sequence;
      if (sequence < at) return false;
      if (sequence == at && tail.compare_exchange_weak(at, at + 1)) {
        cell.value = value;
        cell.sequence = at + 1;
        return true;
      }
      if (sequence != at) at = tail;
    }
  }
  bool pop(std::uint64_t& value) {
    Cell& cell = cells[head % capacity];
    if (cell.sequence != head + 1) return false;
    value = cell.value;
    cell.sequence = head + capacity;
    ++head;
    return true;
  }
};

class Vyukov final : public Operation {
 public:
  Vyukov() { ring_->begin(); }
  void act(int) override { ring_->push(1); }
  void check(Verdict& verdict) override {
    verdict.expect(ring_->push(2), "nothing can be pushed any more");
    std::uint64_t value = 0;
    bool came = false;
    while (ring_->pop(value)) came = came || value == 2;
    verdict.expect(came, "a dead producer stalls the living");
  }

 private:
  Shared<VyukovRing> ring_;
};

class Semaphore final : public Operation {
 public:
  Semaphore() { sem_init(&*token_, 1, 1); }
  void act(int) override {
    sem_wait(&*token_);
    sem_post(&*token_);
  }
  void check(Verdict& verdict) override {
    verdict.expect(sem_trywait(&*token_) == 0, "the token died with its holder");
  }

 private:
  Shared<sem_t> token_;
};

class ReadWriteLock final : public Operation {
 public:
  ReadWriteLock() {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_rwlock_init(&*lock_, &attributes);
  }
  void act(int) override {
    pthread_rwlock_wrlock(&*lock_);
    pthread_rwlock_unlock(&*lock_);
  }
  // Nobody lives who could unlock it: what cannot be had now cannot be had ever.
  void check(Verdict& verdict) override {
    verdict.expect(pthread_rwlock_trywrlock(&*lock_) == 0, "the lock is stuck");
  }

 private:
  Shared<pthread_rwlock_t> lock_;
};

template <class Control>
Row control(const char* name) {
  Row row{name, [] { return std::make_unique<Control>(); }};
  row.control = true;
  return row;
}

}  // namespace

Rows borrowed_primitives() {
  return {control<Vyukov>("control.vyukov_ring"), control<Semaphore>("control.sem_t"),
          control<ReadWriteLock>("control.pthread_rwlock")};
}

}  // namespace bulkhead::sweep
