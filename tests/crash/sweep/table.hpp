// What is swept. Used by main.
#pragma once

#include "tests/crash/sweep/operation.hpp"

namespace bulkhead::sweep {

Rows all_rows();

}  // namespace bulkhead::sweep
