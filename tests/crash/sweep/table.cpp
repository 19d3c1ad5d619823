// The table: one line for each file of operations/ and controls/.
#include "tests/crash/sweep/table.hpp"

#include "tests/crash/sweep/operations/operations.hpp"

namespace bulkhead::sweep {

Rows all_rows() {
  Rows table;
  for (const auto rows_of : {
           end_page,
           keeper_pages,
           lane_bell,
           lane_both,
           lane_publish,
           lane_batch,
           lane_receive,
           lane_sleep,
           lane_wake,
           lease_word,
           queue_journal,
           queue_letters,
           segment_open,
           spmd_steps,
           state_claims,
           state_records,
           topic_lane,
           // known to be bad
           borrowed_primitives,
           broken_lanes,
       }) {
    for (auto& row : rows_of()) table.push_back(std::move(row));
  }
  return table;
}

}  // namespace bulkhead::sweep
