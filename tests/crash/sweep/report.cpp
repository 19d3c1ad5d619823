#include "tests/crash/sweep/report.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "tests/crash/sweep/runner.hpp"

namespace bulkhead::sweep {
namespace {

struct Sum {
  std::uint64_t rows = 0, points = 0, violations = 0, not_reached = 0, retries = 0;

  void add(const Tally::OfRow& row) noexcept {
    ++rows;
    points += row.points;
    violations += row.violations;
    not_reached += row.not_reached;
    retries += row.retries;
  }
};

// "lane.publish" of "lane.publish.full.56".
std::string group_of(const std::string& name) {
  return name.substr(0, name.find('.', name.find('.') + 1));
}

unsigned long long number(std::uint64_t value) noexcept { return value; }

void print(const std::string& name, const Sum& sum) {
  std::printf(
      "  %-28s %4llu states %9llu points %6llu violations %4llu not reached %4llu retried\n",
      name.c_str(), number(sum.rows), number(sum.points), number(sum.violations),
      number(sum.not_reached), number(sum.retries));
}

void print_findings(const char* program, const std::vector<CalibratedRow>& rows, const Plan& plan,
                    const Tally& tally) {
  const auto count = std::min<std::size_t>(tally.finding_count, findings_max);
  std::map<std::size_t, unsigned> shown;  // by row
  for (std::size_t i = 0; i < count; ++i) {
    const Finding& finding = tally.findings[i];
    const Item item = plan.item(finding.ordinal);
    if (++shown[item.row] > 3) continue;
    std::printf("FAILED %s: %s\n  replay: %s --replay %s\n", to_string(item, rows).c_str(),
                finding.complaint.data(), program, to_string(item, rows).c_str());
  }
}

}  // namespace

Reach choose_reach(bool must_step) {
  const Ability ability = find_ability();
  if (!ability.trace) {
    std::fputs("SWEEP: THIS MACHINE DOES NOT LET US TRACE OUR OWN CHILDREN (ptrace)\n", stderr);
    std::exit(2);
  }
  if (ability.breakpoints && !must_step) return Reach::breakpoint;
  std::printf("SWEEP: %s: SINGLE-STEPPING TO EACH POINT, WHICH IS SLOW\n",
              ability.breakpoints ? "AS TOLD" : "NO DEBUG REGISTERS HERE");
  return Reach::step;
}

void list(const std::vector<CalibratedRow>& rows) {
  for (const CalibratedRow& row : rows) {
    std::printf("%-36s %7zu points%s%s", row.row.name.c_str(), row.traces[0].kill_points(),
                row.row.paused ? ", paused" : "", row.row.control ? ", control" : "");
    if (row.row.pair) std::printf(", second victim %zu", row.traces[1].points.size());
    std::printf("\n");
  }
}

int replay(const std::string& point, const std::vector<CalibratedRow>& rows) {
  const auto item = parse_item(point, rows);
  if (!item) {
    std::fprintf(stderr, "sweep: there is no point %s, see --list\n", point.c_str());
    return 2;
  }
  const CalibratedRow& row = rows[item->row];
  if (item->points[0] < row.traces[0].end()) {
    const Point& where = row.traces[0].points[item->points[0]];
    std::printf("before the instruction at %#llx, entered %u times before, repeat %u\n",
                number(where.address), where.occurrence, where.repeat);
  }
  const Outcome outcome = sweep_point(row, *item);
  const bool good = outcome.kind == Outcome::Kind::good;
  std::printf("%s: %s\n", point.c_str(), good ? "holds" : outcome.complaint.c_str());
  return good ? 0 : 1;
}

bool report(const char* program, const std::vector<CalibratedRow>& rows, const Plan& plan,
            const Tally& tally) {
  std::map<std::string, Sum> groups;
  Sum swept;
  std::size_t controls = 0, caught = 0, missed_points = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& found = tally.rows[i];
    missed_points += found.not_reached;
    if (!rows[i].row.control) {
      swept.add(found);
      groups[group_of(rows[i].row.name)].add(found);
      continue;
    }
    ++controls;
    caught += found.violations != 0 ? 1 : 0;
    std::printf("  %-28s control, %s at %llu of %llu points\n", rows[i].row.name.c_str(),
                found.violations != 0 ? "caught" : "NOT CAUGHT", number(found.violations),
                number(found.points));
  }
  for (const auto& [name, sum] : groups) print(name, sum);
  print_findings(program, rows, plan, tally);
  if (missed_points != 0) std::printf("NOT REACHED: %llu points\n", number(missed_points));
  std::printf("sweep: %llu kill points, %llu violations, %zu of %zu controls caught\n",
              number(swept.points), number(swept.violations), caught, controls);
  return swept.violations == 0 && missed_points == 0 && caught == controls && swept.points != 0;
}

}  // namespace bulkhead::sweep
