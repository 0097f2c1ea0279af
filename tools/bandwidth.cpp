// Sizes double until a copy takes long enough to be timed, or reaches what a report needs: an emulated device gets
// there with few bytes, a GPU with many.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "dsl/error.h"
#include "kernels/kernels.h"
#include "kernels/schedules.h"
#include "runtime/compiler.h"
#include "runtime/program.h"
#include "tools/check.h"

namespace wavetile::tools {
namespace {

constexpr size_t kLeast = size_t{64} << 10, kMost = size_t{256} << 20;
constexpr double kEnough = 0.02;  // seconds of one copy
constexpr int kRounds = 5;

struct Copies {
  size_t bytes = 0;
  double seconds = 0;  // of the best round
};

// `copy(bytes)` gives seconds.
template <class F>
Copies measure(F&& copy) {
  Copies c{kLeast, 0};
  while (copy(c.bytes) < kEnough && c.bytes < kMost) c.bytes *= 2;
  c.seconds = copy(c.bytes);
  for (int i = 1; i < kRounds; ++i) c.seconds = std::min(c.seconds, copy(c.bytes));
  return c;
}

// A copy reads its bytes and writes them: `moved` is 2 where both ends are the device's memory.
nlohmann::ordered_json figure(const Copies& c, double moved) {
  if (c.seconds <= 0) throw Error(fmt::format("a copy of {} bytes took no time by the device's clock", c.bytes));
  const double rate = moved * static_cast<double>(c.bytes) / c.seconds / 1e9;
  return {{"bytes", c.bytes}, {"gbytes_per_second", std::round(rate * 1e3) / 1e3}};
}

template <class F>
double seconds_of(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};

class CopyKernel {
 public:
  explicit CopyKernel(const DevicePtr& device) : device_(device), compiler_(device, {}, {.enabled = false}) {}
  double operator()(const Buffer& from, const Buffer& to, size_t bytes) {
    const auto rows = static_cast<int64_t>(bytes / 4 / kColumns);
    const std::vector<TensorView> t{from.view(DType::f32, {rows, kColumns}), to.view(DType::f32, {rows, kColumns})};
    Signature sig = signature_of(t);
    for (TensorSpec& s : sig) {
      s.extents[0].reset();
      s.alignment = 16;
    }
    const Schedule s = kernels::rows_schedule(caps_of(device_->target()));
    Program p(device_);
    p.add(compiler_.get(kernels::copy(DType::f32, DType::f32), sig, s), t);
    p.profile(true);
    p.run();
    return p.times().at(0).seconds;
  }

 private:
  static constexpr int64_t kColumns = 1024;
  DevicePtr device_;
  Compiler compiler_;
};

}  // namespace

nlohmann::ordered_json measure_bandwidth(const DevicePtr& device) {
  constexpr size_t kTail = 64;
  const std::unique_ptr<void, Free> host(std::aligned_alloc(4096, kMost + 4096));
  if (!host) throw std::bad_alloc();
  std::fill_n(static_cast<char*>(host.get()), kMost + kTail, 1);  // its pages exist
  nlohmann::ordered_json j;
  BufferPtr a, b;
  auto room = [&](size_t bytes) {
    if (a && a->bytes() >= bytes) return;
    a = device->allocate(bytes);
    b = device->allocate(bytes);
  };
  auto to_device = [&](size_t bytes) {
    room(bytes);
    return seconds_of([&] { device->write(*a, 0, host.get(), bytes); });
  };
  auto to_host = [&](size_t bytes) {
    room(bytes);
    return seconds_of([&] { device->read(host.get(), *a, 0, bytes); });
  };
  j["host_to_device"] = figure(measure(to_device), 1);
  j["device_to_host"] = figure(measure(to_host), 1);
  CopyKernel copy(device);
  auto inside = [&](size_t bytes) {
    room(bytes);
    return copy(*a, *b, bytes);
  };
  j["device_to_device"] = figure(measure(inside), 2);
  if (const BufferPtr shared = device->borrow(host.get(), kMost)) {
    auto from_host = [&](size_t bytes) {
      room(bytes);
      return copy(*shared, *b, bytes);
    };
    j["host_memory"] = figure(measure(from_host), 2);
  }
  return j;
}

}  // namespace wavetile::tools
