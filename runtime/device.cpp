#include "runtime/device.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "runtime/cpu_device.h"
#include "runtime/hsa_device.h"

namespace wavetile {
namespace {

class Launches : public Recording {
 public:
  Launches(Queue& queue, std::vector<Launch> launches) : queue_(queue), launches_(std::move(launches)) {}
  void run() override {
    for (const Launch& l : launches_) queue_.launch(*l.module, l.stage, l.slots, l.grid);
  }

 private:
  Queue& queue_;
  std::vector<Launch> launches_;
};

}  // namespace

std::unique_ptr<Recording> Queue::record(std::vector<Launch> launches) {
  return std::make_unique<Launches>(*this, std::move(launches));
}

TensorView Buffer::view(DType dtype, std::vector<int64_t> extents, int64_t offset) const {
  auto size = static_cast<int64_t>(size_of(dtype));
  int64_t room = static_cast<int64_t>(bytes()) / size - offset, elements = 1;
  bool fits = offset >= 0 && room >= 0 && std::all_of(extents.begin(), extents.end(), [](int64_t e) { return e >= 0; });
  for (int64_t e : extents) fits = fits && !__builtin_mul_overflow(elements, e, &elements);
  if (!fits || elements > room)
    throw Error(fmt::format("a tensor of [{}] elements of {} at element {} does not fit a buffer of {} bytes",
                            fmt::join(extents, ", "), name_of(dtype), offset, bytes()));
  auto strides = row_major(extents);
  return {dtype, static_cast<char*>(address()) + offset * size, std::move(extents), std::move(strides)};
}

std::vector<DeviceInfo> Device::list() {
  std::vector<DeviceInfo> all{describe_cpu()};
  for (DeviceInfo& d : list_hsa()) all.push_back(std::move(d));
  return all;
}

std::string Device::diagnose() { return diagnose_hsa(); }

void Device::check_copy(const Buffer& b, size_t offset, size_t bytes) {
  if (offset > b.bytes() || bytes > b.bytes() - offset)
    throw Error(fmt::format("a copy of {} bytes at {} leaves a buffer of {} bytes", bytes, offset, b.bytes()));
}

DevicePtr Device::open(const std::string& name, const DeviceOptions& options) {
  if (name == "cpu") return open_cpu(options);
  if (is_hsa(name)) return open_hsa(name, options);
  throw Error(fmt::format("there is no device '{}'; this build has: cpu, hsa, hsa:0 (and so on), hsa:emulated", name));
}

}  // namespace wavetile
