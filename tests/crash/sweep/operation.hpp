// What is swept: one operation of one or two processes, the survivor's part, and what must hold
// afterwards. Each file in operations/ and controls/ implements some; the runner knows only this. An
// operation never knows at which instruction its victim stopped.
//
// The runner makes a fresh operation for each kill point: its constructor builds the world (in the
// tracer, which is the survivor), act() runs in a forked child between the marks, check() looks at
// what is left once every victim is dead and confirmed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bulkhead::sweep {

// What a check has to complain about; empty when every promise held.
class Verdict {
 public:
  bool expect(bool holds, const std::string& promise) {
    if (!holds && complaint_.empty()) complaint_ = promise;
    return holds;
  }
  bool is_good() const noexcept { return complaint_.empty(); }
  const std::string& complaint() const noexcept { return complaint_; }

 private:
  std::string complaint_;
};

class Operation {
 public:
  Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  virtual ~Operation() = default;

  // In the victim: what it does before the marks, then what is swept. `actor` is 0, or 1 for the
  // second victim of a pair.
  virtual void enter(int /*actor*/) {}
  virtual void act(int actor) = 0;

  // In the tracer. wake() ends the sleep that the victim is about to enter.
  virtual void wake() {}
  // While the victim is stopped and not dead: the peer works on. The victim is resumed after it.
  virtual void work_beside(Verdict&) {}
  virtual void check(Verdict&) = 0;
};

// One line of the table. The name begins with what is swept: "lane.publish.full".
struct Row {
  std::string name;
  std::function<std::unique_ptr<Operation>()> begin;
  bool paused = false;   // swept with a pause and a resumption at every point, too
  bool killed = true;    // swept with a kill at every point
  bool pair = false;     // has a second actor: swept with both killed
  bool control = false;  // known to be bad: must be caught
};
using Rows = std::vector<Row>;

}  // namespace bulkhead::sweep
