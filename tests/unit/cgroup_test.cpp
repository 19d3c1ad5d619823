// Where our own cgroup lies, by the texts that kernels of each kind show.
#include "base/cgroup.hpp"

#include <gtest/gtest.h>

namespace bulkhead::base {
namespace {

constexpr const char* v1_mounts =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "31 22 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:12 master:3 - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

constexpr const char* v1_membership =
    "9:name=systemd:/user.slice\n"
    "4:memory:/system.slice/bulkhead.service\n"
    "2:cpu,cpuacct:/\n"
    "0::/user.slice\n";

constexpr const char* v2_mounts =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "26 22 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 "
    "rw,nsdelegate,memory_recursiveprot\n";

std::string place(std::string_view mounts, std::string_view membership,
                  std::string_view controller = "memory") {
  const auto found = find_cgroup(mounts, membership, controller);
  if (!found) return found.error().context;
  return std::string(to_string(found->version)) + " " + found->directory;
}

TEST(Cgroup, of_version_1_is_found_by_the_controller_that_its_mount_names) {
  EXPECT_EQ(place(v1_mounts, v1_membership),
            "cgroup v1 /sys/fs/cgroup/memory/system.slice/bulkhead.service");
  EXPECT_EQ(place(v1_mounts, v1_membership, "cpuacct"), "cgroup v1 /sys/fs/cgroup/cpu,cpuacct");
}

TEST(Cgroup, of_version_2_is_found_by_the_line_without_a_controller) {
  EXPECT_EQ(place(v2_mounts, "0::/user.slice/app.slice/run.scope\n"),
            "cgroup v2 /sys/fs/cgroup/user.slice/app.slice/run.scope");
  EXPECT_EQ(place(v2_mounts, "0::/\n"), "cgroup v2 /sys/fs/cgroup");
}

// Both versions mounted: who has no hierarchy of its own may be offered by version 2.
TEST(Cgroup, of_a_hybrid_is_that_of_the_version_which_has_the_controller) {
  EXPECT_EQ(place(v1_mounts, v1_membership, "pids"), "cgroup v2 /sys/fs/cgroup/unified/user.slice");
  EXPECT_EQ(place(v1_mounts, "0::/a\n4:memory:/b\n"), "cgroup v1 /sys/fs/cgroup/memory/b");
}

// A container engine binds the container's cgroup over the root of the hierarchy.
TEST(Cgroup, is_taken_relative_to_the_part_of_the_hierarchy_that_is_mounted) {
  const std::string mounts =
      "35 31 0:32 /docker/4f /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n";
  EXPECT_EQ(place(mounts, "4:memory:/docker/4f\n"), "cgroup v1 /sys/fs/cgroup/memory");
  EXPECT_EQ(place(mounts, "4:memory:/docker/4f/in\n"), "cgroup v1 /sys/fs/cgroup/memory/in");
  EXPECT_EQ(place(mounts, "4:memory:/docker/4f0\n"),
            "our own memory cgroup /docker/4f0 lies outside of what is mounted here");
}

TEST(Cgroup, outside_of_our_namespace_is_out_of_reach) {
  EXPECT_EQ(place(v2_mounts, "0::/../other\n"),
            "our own memory cgroup /../other lies outside of what is mounted here");
}

TEST(Cgroup, of_several_mounts_is_the_last_that_shows_it) {
  const std::string more =
      std::string(v2_mounts) + "90 26 0:23 / /run/cg\\040roup rw - cgroup2 none rw\n";
  EXPECT_EQ(place(more, "0::/a\n"), "cgroup v2 /run/cg roup/a");
  const std::string other = std::string(v2_mounts) + "91 26 0:23 /b /mnt rw - cgroup2 none rw\n";
  EXPECT_EQ(place(other, "0::/a\n"), "cgroup v2 /sys/fs/cgroup/a");
}

TEST(Cgroup, that_is_not_mounted_or_not_there_is_told_in_words) {
  EXPECT_EQ(place("", v1_membership), "the memory cgroups (v1) are not mounted");
  EXPECT_EQ(place("", "0::/\n"), "no cgroups are mounted");
  EXPECT_EQ(place(v2_mounts, ""), "this kernel has no memory cgroups");
  EXPECT_EQ(place(v2_mounts, "7:cpu:/\n"), "this kernel has no memory cgroups");
}

TEST(Cgroup, texts_that_are_cut_off_anywhere_are_no_cgroup_or_the_same) {
  const std::string mounts = v1_mounts, membership = v1_membership;
  const auto whole = place(mounts, membership);
  for (std::size_t size = 0; size < mounts.size(); ++size) {
    const auto found = find_cgroup(mounts.substr(0, size), membership, "memory");
    if (found) {
      EXPECT_EQ(place(mounts.substr(0, size), membership), whole) << size;
    }
  }
  for (std::size_t size = 0; size < membership.size(); ++size) {
    (void)find_cgroup(mounts, membership.substr(0, size), "memory");
  }
}

TEST(Cgroup, figures_are_found_by_their_whole_word) {
  const char* const events = "low 0\nhigh 0\nmax 31\noom 3\noom_kill 2\noom_group_kill 1\n";
  EXPECT_EQ(keyed_figure(events, "oom"), 3U);
  EXPECT_EQ(keyed_figure(events, "oom_kill"), 2U);
  EXPECT_EQ(keyed_figure(events, "kill"), 0U);
  EXPECT_EQ(keyed_figure("oom_kill", "oom_kill"), 0U);
  EXPECT_EQ(keyed_figure("oom_kill 7", "oom_kill"), 7U);
}

TEST(Cgroup, controllers_are_listed_as_whole_words) {
  EXPECT_TRUE(has_word("cpuset cpu io memory pids\n", "memory"));
  EXPECT_TRUE(has_word("cpuset cpu io memory pids\n", "pids"));
  EXPECT_FALSE(has_word("cpuset cpu\n", "cpus"));
  EXPECT_FALSE(has_word("\n", ""));
}

TEST(Cgroup, that_does_not_exist_has_no_members_and_is_removed_already) {
  EXPECT_TRUE(cgroup_members("/nonexistent").empty());
  EXPECT_TRUE(remove_cgroup("/nonexistent/at/all").has_value());
  EXPECT_FALSE(remove_cgroup("/proc").has_value());
  EXPECT_FALSE(write_control("/nonexistent/memory.max", "1").has_value());
}

}  // namespace
}  // namespace bulkhead::base
