#include "runtime/hsa_diagnosis.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include <fmt/format.h>

#include "runtime/hsa_device.h"

namespace wavetile {
namespace hsa {
namespace {

namespace fs = std::filesystem;

constexpr const char* kJoin = "add yourself with `sudo usermod -aG render,video $USER` and log in again";

std::string name_of_group(gid_t id) {
  const group* g = getgrgid(id);
  return g ? g->gr_name : fmt::format("{}", id);
}

double gib(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

// A file that belongs to a group whose members use the GPU.
std::string not_allowed(const Host& host, const std::string& path) {
  struct stat s {};
  const std::string owner = stat((host.root + path).c_str(), &s) == 0 ? name_of_group(s.st_gid) : "?";
  return fmt::format("{}: this process may not use it: it belongs to the group {}, and you are in {}; {}", path, owner,
                     host.groups.empty() ? "none" : fmt::format("{}", fmt::join(host.groups, ", ")), kJoin);
}

std::vector<std::string> render_nodes(const Host& host) {
  std::vector<std::string> all;
  std::error_code none;
  for (const auto& e : fs::directory_iterator(host.root + "/dev/dri", none))
    if (e.path().filename().string().starts_with("renderD")) all.push_back("/dev/dri/" + e.path().filename().string());
  std::sort(all.begin(), all.end());
  return all;
}

std::optional<uint64_t> number_in(const std::string& path) {
  std::ifstream in(path);
  uint64_t n = 0;
  return in >> n ? std::optional(n) : std::nullopt;
}

// Of an APU the firmware sets a part of the memory aside for the GPU; the driver lets it use some of the rest too.
std::string describe_memory(const System& system, const Agent& a, const Host& host) {
  if (!a.apu) return fmt::format("{:.1f} GiB", gib(a.memory_bytes));
  const std::string pci = fmt::format("{}/sys/bus/pci/devices/{:04x}:{:02x}:{:02x}.{:x}/", host.root, a.domain,
                                      a.bus >> 8 & 0xff, a.bus >> 3 & 0x1f, a.bus & 7);
  const auto carved = number_in(pci + "mem_info_vram_total"), rest = number_in(pci + "mem_info_gtt_total");
  std::string text = fmt::format("an APU: {:.1f} GiB of memory for buffers, {:.1f} GiB for the host",
                                 gib(a.memory_bytes), gib(system.host_bytes()));
  if (carved && rest)
    text += fmt::format(
        "; the firmware sets {:.1f} GiB aside for the GPU (its setup has a field such as UMA frame buffer size), and "
        "the driver lets it use {:.1f} GiB of the rest (the kernel's parameter ttm.pages_limit)",
        gib(*carved), gib(*rest));
  return text;
}

}  // namespace

Host Host::here() {
  Host h;
  h.may_use = [](const std::string& path) { return access(path.c_str(), R_OK | W_OK) == 0; };
  std::vector<gid_t> ids(static_cast<size_t>(std::max(0, getgroups(0, nullptr))));
  ids.resize(static_cast<size_t>(std::max(0, getgroups(static_cast<int>(ids.size()), ids.data()))));
  for (gid_t id : ids) h.groups.push_back(name_of_group(id));
  return h;
}

std::string why_no_gpu(const Host& host) {
  const std::string device = "/dev/kfd";
  if (!fs::exists(host.root + device)) {
    if (!fs::exists(host.root + "/sys/module/amdgpu"))
      return fmt::format(
          "{}: it does not exist: the kernel has no amdgpu driver loaded (`sudo modprobe amdgpu`), or this machine has "
          "no AMD GPU",
          device);
    return fmt::format(
        "{}: it does not exist, though the amdgpu driver is loaded: in a container pass --device /dev/kfd --device "
        "/dev/dri, else the kernel was built without HSA_AMD",
        device);
  }
  if (!host.may_use(host.root + device)) return not_allowed(host, device);
  const std::vector<std::string> nodes = render_nodes(host);
  if (nodes.empty()) return "/dev/dri: it has no render node: in a container pass --device /dev/dri";
  if (std::none_of(nodes.begin(), nodes.end(), [&](const std::string& n) { return host.may_use(host.root + n); }))
    return not_allowed(host, nodes[0]);
  return fmt::format("{} and {} are there, but the runtime finds no GPU: see `dmesg | grep -i amdgpu`", device,
                     nodes[0]);
}

std::string diagnose(const System& system, const std::string& name, const Host& host) {
  std::string text = fmt::format("{}: {}, HSA {}\n", name, system.api().path, system.version());
  if (system.gpus().empty()) text += fmt::format("{}: no GPU: {}\n", name, why_no_gpu(host));
  for (size_t i = 0; i < system.gpus().size(); ++i) {
    const Agent& a = system.gpus()[i];
    const std::string agent = system.api().emulated ? name : fmt::format("{}:{}", name, i);
    text += fmt::format("{}: {}, {}, {} compute units, {}\n", agent, a.product, a.isa, a.compute_units,
                        describe_memory(system, a, host));
    if (!a.known)
      text += fmt::format(
          "{}: there is no target for {}: it cannot be used; README.md lists those that there are, and says where to "
          "ask for another\n",
          agent, a.chip.empty() ? "its ISA" : a.chip);
  }
  return text;
}

}  // namespace hsa

std::string diagnose_hsa() {
  std::string text;
  for (bool emulated : {false, true}) {
    const char* const name = emulated ? "hsa:emulated" : "hsa";
    try {
      text += hsa::diagnose(*hsa::System::open(emulated), name);
    } catch (const Error& e) {
      text += fmt::format("{}: {}\n", name, e.what());
    }
  }
  return text;
}

}  // namespace wavetile
