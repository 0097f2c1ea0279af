#include "runtime/device.h"

#include <fmt/format.h>

#include "runtime/cpu_device.h"

namespace wavetile {

TensorView Buffer::view(DType dtype, std::vector<int64_t> extents, int64_t offset) const {
  int64_t elements = 1;
  for (int64_t e : extents) elements *= e;
  auto size = static_cast<int64_t>(size_of(dtype));
  if (offset < 0 || (offset + elements) * size > static_cast<int64_t>(bytes()))
    throw Error(fmt::format("a tensor of {} elements of {} at element {} does not fit a buffer of {} bytes", elements,
                            name_of(dtype), offset, bytes()));
  auto strides = row_major(extents);
  return {dtype, static_cast<char*>(address()) + offset * size, std::move(extents), std::move(strides)};
}

DevicePtr Device::open(const std::string& name, const DeviceOptions& options) {
  if (name == "cpu") return open_cpu(options);
  throw Error(fmt::format("there is no device '{}'; this build has: cpu", name));
}

}  // namespace wavetile
