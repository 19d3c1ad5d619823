#include "ipc/sandbox_protocol.hpp"

#include <utility>

namespace bulkhead::ipc {

Json encode(const SandboxInstall& install) {
  return {{"read", install.read}, {"write", install.write}, {"fds", Json::array({"filter"})}};
}

template <>
Result<SandboxInstall> decode(const Json& params) {
  SandboxInstall install;
  FieldReader in(method::sandbox_install, params);
  in.required("read", install.read).required("write", install.write);
  return in.finish(std::move(install));
}

Json encode(const SandboxInstalled& installed) {
  return {{"in_effect", installed.in_effect}, {"refused", installed.refused}};
}

template <>
Result<SandboxInstalled> decode(const Json& params) {
  SandboxInstalled installed;
  FieldReader in(method::sandbox_installed, params);
  in.required("in_effect", installed.in_effect).required("refused", installed.refused);
  return in.finish(std::move(installed));
}

}  // namespace bulkhead::ipc
