// Who had the processor when, as lines of text and as a picture. Used by `bulkhead lab scheduling`.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "lab/scheduling.hpp"

namespace bulkhead::lab {

double length_ms(const SchedulingLab&) noexcept;  // of the longest run

// A line for each processor: in each column the name of the job that had most of that time, or a dot.
std::vector<std::string> gantt_lines(const SchedulingLab&, const PolicyRun&, std::size_t columns);

// All runs below each other, to the same scale. SVG 1.1.
std::string gantt_svg(const SchedulingLab&);

}  // namespace bulkhead::lab
