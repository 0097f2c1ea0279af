#include <sys/utsname.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tools/check.h"

namespace wavetile::tools {
namespace {

// The first line of a file; null where there is none.
nlohmann::ordered_json line_of(const std::string& path) {
  std::string line;
  return std::getline(std::ifstream(path), line) ? nlohmann::ordered_json(line) : nullptr;
}

// What follows `key` and its separator in a file of such lines.
nlohmann::ordered_json value_in(const std::string& path, const std::string& key, char separator) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    std::string value = line.substr(line.find(separator) + 1);
    value.erase(0, value.find_first_not_of(" \t\""));
    value.erase(value.find_last_not_of(" \t\"") + 1);
    return value;
  }
  return nullptr;
}

}  // namespace

nlohmann::ordered_json describe_system(const std::string& root) {
  utsname name{};
  uname(&name);
  return {{"kernel", name.release},
          {"distribution", value_in(root + "/etc/os-release", "PRETTY_NAME", '=')},
          {"processor", value_in(root + "/proc/cpuinfo", "model name", ':')},
          {"memory", value_in(root + "/proc/meminfo", "MemTotal", ':')},
          {"board", line_of(root + "/sys/class/dmi/id/board_name")},
          {"amdgpu", line_of(root + "/sys/module/amdgpu/version")},  // of drivers that come apart from the kernel
          {"rocm", line_of(root + "/opt/rocm/.info/version")}};
}

}  // namespace wavetile::tools
