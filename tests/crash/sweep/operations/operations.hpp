// The rows that each file of operations/ and controls/ adds to the table. Used by table.cpp; an operation
// that does not stand there is not swept.
#pragma once

#include "tests/crash/sweep/operation.hpp"

namespace bulkhead::sweep {

Rows end_page();
Rows keeper_pages();
Rows lane_bell();
Rows lane_both();
Rows lane_publish();
Rows lane_batch();
Rows lane_receive();
Rows lane_sleep();
Rows lane_wake();
Rows lease_word();
Rows queue_journal();
Rows queue_letters();
Rows segment_open();
Rows spmd_steps();
Rows state_claims();
Rows state_records();
Rows topic_lane();

Rows borrowed_primitives();
Rows broken_lanes();

}  // namespace bulkhead::sweep
