// The table that AMD's runtime asks for. It may end the process at any time, without ending what it began: everything
// here lives on, except that threads stop before the process destroys what they use.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "emulator/model/copy_queue.h"
#include "emulator/model/device.h"
#include "emulator/model/interface.h"
#include "emulator/model/topology.h"

namespace wavetile::emu::model {
namespace {

struct Devices {
  std::mutex mutex;
  std::vector<Device*> all;  // in the order of the topology
  std::vector<std::pair<void*, std::uint64_t>> apertures;
  bool stops_at_exit = false;
};
Devices& devices() {
  static Devices& d = *new Devices;
  return d;
}

std::string environment(const char* name) {
  const char* text = std::getenv(name);
  return text ? text : "";
}

// $WAVETILE_EMULATOR, for the chip of the topology: a chip that it names must be that one.
Options read_options(const Chip& chip) {
  const std::string text = environment("WAVETILE_EMULATOR");
  Options options = Options::parse(text);
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view word = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    if (const Chip* named = find_chip(word); named && named != &chip)
      throw std::invalid_argument(fmt::format("$WAVETILE_EMULATOR says {}, the topology {}", word, chip.name));
  }
  options.chip = &chip;
  return options;
}

Device* create() try {
  Devices& d = devices();
  const std::scoped_lock lock(d.mutex);
  if (!std::exchange(d.stops_at_exit, true)) {
    std::atexit([] {
      const std::scoped_lock lock(devices().mutex);
      for (Device* device : devices().all) device->stop();
    });
  }
  const std::string topology = environment("HSA_MODEL_TOPOLOGY"), version = environment("HSA_OVERRIDE_GFX_VERSION");
  const Chip& chip = chip_of(topology, static_cast<int>(d.all.size()), version);
  auto device = std::make_unique<Device>(read_options(chip));
  for (const auto& [base, bytes] : d.apertures) device->exclude(base, bytes);
  d.all.push_back(device.get());
  return device.release();
} catch (const std::exception& e) {
  fmt::print(stderr, "wavetile-rocm-model: {}\n", e.what());
  return nullptr;
}

void destroy(Device* device) {
  Devices& d = devices();
  const std::scoped_lock lock(d.mutex);
  std::erase(d.all, device);
  delete device;
}

// In a GPU's aperture its memory appears a second time.
void set_aperture(Device*, void* base, std::uint64_t bytes) {
  Devices& d = devices();
  const std::scoped_lock lock(d.mutex);
  d.apertures.emplace_back(base, bytes);
  for (Device* device : d.all) device->exclude(base, bytes);
}

// Memory of one GPU can be mapped to the others without notice.
void allocated(Device*, void* address, std::uint64_t bytes, std::uint32_t flags) {
  Devices& d = devices();
  const std::scoped_lock lock(d.mutex);
  for (Device* device : d.all) device->allocated(address, bytes, flags);
}

void freed(Device*, void* address, std::uint64_t) {
  Devices& d = devices();
  const std::scoped_lock lock(d.mutex);
  for (Device* device : d.all) device->freed(address);
}

// Not called by this version of the runtime.
void set_notify(Device*, void (*)(void*), void*) {}
void set_wait(Device*, void (*)(void*, std::uint64_t, std::uint64_t), void*) {}

Queue* register_queue(Device* device, QueueInfo* info) { return device->register_queue(*info); }
void set_set_event(Device* device, SetEvent set_event, void* data) { device->set_set_event(set_event, data); }
void destroy_queue(Device* device, Queue* queue) { device->destroy_queue(queue); }

constexpr Functions kFunctions = {
    .major = 0,
    .minor = 4,
    .create = create,
    .destroy = destroy,
    .set_aperture = set_aperture,
    .allocated = allocated,
    .freed = freed,
    .set_notify = set_notify,
    .set_wait = set_wait,
    .register_queue = register_queue,
    .set_set_event = set_set_event,
    .destroy_queue = destroy_queue,
};

}  // namespace
}  // namespace wavetile::emu::model

extern "C" __attribute__((visibility("default"))) const wavetile::emu::model::Functions* get_hsakmt_model_functions() {
  return &wavetile::emu::model::kFunctions;
}
