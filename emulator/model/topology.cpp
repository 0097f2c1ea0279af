#include "emulator/model/topology.h"

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <stdexcept>

#include <fmt/format.h>

namespace wavetile::emu::model {
namespace {

// Lines of a name and a decimal number, up to the first that is something else.
std::map<std::string, std::uint64_t> read_properties(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(fmt::format("cannot read {}", path));
  std::map<std::string, std::uint64_t> result;
  std::string name;
  std::uint64_t value = 0;
  while (file >> name >> value) result[name] = value;
  return result;
}

const Chip& known(unsigned major, unsigned minor, unsigned step) {
  const std::string name = fmt::format("gfx{}{:x}{:x}", major, minor, step);
  if (const Chip* chip = find_chip(name)) return *chip;
  std::string names;
  for (const Chip& c : chips()) names += fmt::format("{}{}", names.empty() ? "" : ", ", c.name);
  throw std::runtime_error(fmt::format("the topology has a {}; there are {}", name, names));
}

}  // namespace

const Chip& chip_of(const std::string& folder, int index, const std::string& override) {
  if (!override.empty()) {
    unsigned major = 0, minor = 0, step = 0;
    if (std::sscanf(override.c_str(), "%u.%u.%u", &major, &minor, &step) != 3)
      throw std::runtime_error(fmt::format("HSA_OVERRIDE_GFX_VERSION is '{}'", override));
    return known(major, minor, step);
  }
  for (int node = 0, gpus = 0;; ++node) {
    const std::string path = fmt::format("{}/nodes/{}/", folder, node);
    std::ifstream id_file(path + "gpu_id");
    std::uint64_t id = 0;
    if (!(id_file >> id)) throw std::runtime_error(fmt::format("{} has no GPU {}", folder, index));
    if (id == 0 || gpus++ != index) continue;
    const auto properties = read_properties(path + "properties");
    const auto version = properties.find("gfx_target_version");
    if (version == properties.end())
      throw std::runtime_error(fmt::format("{}properties has no gfx_target_version", path));
    const auto v = static_cast<unsigned>(version->second);
    return known(v / 10000, v / 100 % 100, v % 100);
  }
}

}  // namespace wavetile::emu::model
