// A brain for tests of the keeper: takes over, beats, and does what it is told over the control socket, one
// text command a packet, one packet back. Started by the keeper as this test binary itself.
#pragma once

#include <string>

namespace bulkhead::test {

// Which part this process plays, from its environment; "" is the test itself.
std::string role_of_this_process();

// The whole main of a process that plays a part: steady (the brain), never (a brain that leaves before it
// took over), worker (stays), leaver (exits with 3).
int play_role(const std::string& role, int argc, char** argv);

inline constexpr const char* role_variable = "BULKHEAD_TEST_ROLE";

}  // namespace bulkhead::test
