// The check interprets the kernel on slices of its tensors, one result at a time: along an independent axis a result
// needs no other coordinate, so that a few samples at both ends and in the middle cost little at any size.
#include "bench/support.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "bench/machine.h"
#include "codegen/compile.h"
#include "dsl/interpret.h"

namespace wavetile::bench {
namespace {

/// A tensor on the host, in plain strides.
struct Host {
  std::vector<char> bytes;
  TensorView view;
};

double read(DType t, const char* p) {
  const auto as = [p](auto x) {
    std::memcpy(&x, p, sizeof x);
    return x;
  };
  switch (t) {
    case DType::f32:
      return as(float{});
    case DType::f16:
      return from_f16(as(std::uint16_t{}));
    case DType::bf16:
      return from_bf16(as(std::uint16_t{}));
    case DType::i32:
      return as(std::int32_t{});
    default:
      throw InternalError(fmt::format("the benchmarks hold no {}", name_of(t)));
  }
}

void write(DType t, char* p, double x) {
  const auto put = [p](auto v) { std::memcpy(p, &v, sizeof v); };
  switch (t) {
    case DType::f32:
      return put(static_cast<float>(x));
    case DType::f16:
      return put(to_f16(static_cast<float>(x)));
    case DType::bf16:
      return put(to_bf16(static_cast<float>(x)));
    case DType::i32:
      return put(static_cast<std::int32_t>(x));
    default:
      throw InternalError(fmt::format("the benchmarks hold no {}", name_of(t)));
  }
}

std::vector<std::int64_t> extents_of(const Case& c, const Operand& o) {
  if (o.axes.empty()) return {1};
  std::vector<std::int64_t> extents;
  for (char axis : o.axes) extents.push_back(c.extents.at(axis));
  return extents;
}

std::vector<std::int64_t> strides_of(const Case& c, const Operand& o) {
  const std::string& order = o.memory.empty() ? o.axes : o.memory;
  std::vector<std::int64_t> strides(std::max<std::size_t>(o.axes.size(), 1), 1);
  std::int64_t stride = 1;
  for (std::size_t i = order.size(); i-- > 0;) {
    strides[o.axes.find(order[i])] = stride;
    stride *= c.extents.at(order[i]);
  }
  return strides;
}

std::int64_t elements(const std::vector<std::int64_t>& extents) {
  std::int64_t n = 1;
  for (std::int64_t e : extents) n *= e;
  return n;
}

/// What cannot be a result, and stays recognisable: outputs hold it before a run.
double poison(DType t) { return t == DType::i32 ? -1 : std::numeric_limits<double>::quiet_NaN(); }
bool is_poison(DType t, double x) { return t == DType::i32 ? x == -1 : std::isnan(x); }

Host make_host(const Case& c, const Operand& o, bool written, std::uint64_t seed) {
  Host h;
  const auto extents = extents_of(c, o);
  const std::int64_t n = elements(extents), size = size_of(o.dtype);
  h.bytes.resize(static_cast<std::size_t>(n * size));
  h.view = {o.dtype, h.bytes.data(), extents, strides_of(c, o)};
  std::uint64_t state = seed;
  for (std::int64_t i = 0; i < n; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator
    const double unit = static_cast<double>(state >> 40) * 0x1p-24;
    const double x =
        o.dtype == DType::i32 ? std::floor(o.low + unit * (o.high - o.low + 1)) : o.low + unit * (o.high - o.low);
    write(o.dtype, h.bytes.data() + i * size, written ? poison(o.dtype) : x);
  }
  return h;
}

const Packing* packing_of(const Case& c, std::size_t tensor) {
  const auto it = c.schedule.packing.find(c.kernel.graph().tensors[tensor].name);
  return it == c.schedule.packing.end() ? nullptr : &it->second;
}

/// Elements from a tensor's address to coordinate i of dimension d, for all i: places are sums of these.
std::vector<std::vector<std::int64_t>> places(const TensorView& v, const Packing* p) {
  std::vector<std::vector<std::int64_t>> all;
  for (int d = 0; d < v.rank(); ++d) {
    std::vector<std::int64_t> of;
    for (std::int64_t i = 0; i < v.extents[static_cast<std::size_t>(d)]; ++i)
      of.push_back(packed_place(v.extents, v.strides, p ? *p : Packing{}, static_cast<std::size_t>(d), i));
    all.push_back(std::move(of));
  }
  return all;
}

/// Calls f(place in a, place in b) for each element of two tensors of the same extents.
template <class F>
void each(const std::vector<std::vector<std::int64_t>>& a, const std::vector<std::vector<std::int64_t>>& b, F f,
          std::size_t dim = 0, std::int64_t at_a = 0, std::int64_t at_b = 0) {
  if (dim == a.size()) return f(at_a, at_b);
  for (std::size_t i = 0; i < a[dim].size(); ++i) each(a, b, f, dim + 1, at_a + a[dim][i], at_b + b[dim][i]);
}

/// The same elements in the layout that the schedule asks for.
Host packed(const Host& host, const Packing* p) {
  if (!p) return {host.bytes, host.view};
  Host h{{}, host.view};
  const std::int64_t size = size_of(h.view.dtype);
  h.view.strides = packed_strides(h.view.extents, *p);
  h.bytes.resize(static_cast<std::size_t>(packed_elements(h.view.extents, *p) * size));
  each(places(host.view, nullptr), places(h.view, p), [&](std::int64_t from, std::int64_t to) {
    std::memcpy(h.bytes.data() + to * size, host.bytes.data() + from * size, static_cast<std::size_t>(size));
  });
  return h;
}

TensorView upload(const Host& image, Device& device, std::vector<BufferPtr>& buffers) {
  buffers.push_back(device.allocate(image.bytes.size()));
  device.write(*buffers.back(), 0, image.bytes.data(), image.bytes.size());
  TensorView v = image.view;
  v.data = buffers.back()->address();
  return v;
}

/// The elements of a device's tensor, in plain strides.
Host download(const Host& like, const TensorView& v, const Packing* p, Device& device, const Buffer& buffer) {
  Host h{std::vector<char>(like.bytes.size()), like.view};
  h.view.data = h.bytes.data();
  const std::int64_t size = size_of(v.dtype);
  std::vector<char> image(buffer.bytes());
  device.read(image.data(), buffer, 0, image.size());
  each(places(v, p), places(h.view, nullptr), [&](std::int64_t from, std::int64_t to) {
    std::memcpy(h.bytes.data() + to * size, image.data() + from * size, static_cast<std::size_t>(size));
  });
  return h;
}

using Sample = std::map<char, std::int64_t>;  // independent axis -> coordinate

/// The part of a tensor that belongs to a sample.
TensorView slice(const Case& c, const Operand& o, TensorView v, const Sample& at) {
  for (std::size_t d = 0; d < o.axes.size(); ++d) {
    const auto it = at.find(o.axes[d]);
    if (it == at.end() || c.independent.find(o.axes[d]) == std::string::npos) continue;
    v.data = static_cast<char*>(v.data) + it->second * v.strides[d] * size_of(v.dtype);
    v.extents[d] = 1;
  }
  return v;
}

void check_sample(const Case& c, std::vector<Host>& inputs, const std::vector<Host>& results, const Sample& at) {
  const Graph& g = c.kernel.graph();
  std::vector<TensorView> views;
  std::vector<std::vector<char>> expected(inputs.size());  // outputs of this sample, dense
  std::int32_t start = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    TensorView v = slice(c, c.operands[i], inputs[i].view, at);
    if (g.tensors[i].written) {
      const std::int64_t n = elements(v.extents), size = size_of(v.dtype);
      expected[i].resize(static_cast<std::size_t>(n * size));
      for (std::int64_t e = 0; e < n; ++e) write(v.dtype, expected[i].data() + e * size, poison(v.dtype));
      v = dense(v.dtype, expected[i].data(), v.extents);
    }
    if (c.started && g.tensors[i].name == "Start") {
      start =
          static_cast<std::int32_t>(read(v.dtype, static_cast<char*>(v.data)) + static_cast<double>(at.at(c.started)));
      v.data = &start;
    }
    views.push_back(v);
  }
  interpret(g, views, {});
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!g.tensors[i].written) continue;
    const TensorView got = slice(c, c.operands[i], results[i].view, at);
    const std::int64_t size = size_of(got.dtype);
    each(places(views[i], nullptr), places(got, nullptr), [&](std::int64_t from, std::int64_t to) {
      const double want = read(got.dtype, expected[i].data() + from * size);
      if (is_poison(got.dtype, want)) return;  // not an element of this sample
      const double have = read(got.dtype, static_cast<const char*>(got.data) + to * size);
      // Unit round-off of f32, times the length of the sum; what is stored narrower is rounded the same way.
      const double tolerance =
          got.dtype == DType::i32 ? 0 : 0x1p-22 * (static_cast<double>(c.terms) + 4) * std::max(1.0, std::abs(want));
      const double ulp = got.dtype == DType::f32 || got.dtype == DType::i32 ? 0 : 0x1p-7 * std::abs(want);
      if (std::abs(have - want) <= tolerance + ulp) return;
      std::string where;
      for (const auto& [axis, coordinate] : at) where += fmt::format(" {}={}", axis, coordinate);
      throw Error(fmt::format("{}: tensor '{}' at{} is {}, and {} by the interpreter; run the tests of the kernels",
                              c.name, g.tensors[i].name, where, have, want));
    });
  }
}

void check(const Case& c, std::vector<Host>& inputs, const std::vector<Host>& results) {
  std::vector<Sample> samples{{}};
  for (char axis : c.independent) {
    const std::int64_t n = c.extents.at(axis);
    std::vector<std::int64_t> at{0, n / 2, n - 1};
    at.erase(std::unique(at.begin(), at.end()), at.end());
    std::vector<Sample> more;
    for (const Sample& s : samples) {
      for (std::int64_t i : at) {
        more.push_back(s);
        more.back()[axis] = i;
      }
    }
    samples = std::move(more);
  }
  for (const Sample& s : samples) check_sample(c, inputs, results, s);
}

}  // namespace

const Limits& limits(int threads) {
  static MachineLimits machine({.repetitions = 5});
  static std::map<int, Limits> known;
  const auto [it, is_new] = known.try_emplace(threads);
  Limits& l = it->second;
  if (is_new) {
    l.device = Device::open("cpu", {.threads = threads, .level = {}});
    l.bytes = 1e9 * machine.read_bandwidth(threads).median;
    l.flops = 1e9 * machine.peak_f32(threads).median;
    if (const auto peak = machine.peak_bf16_dot(threads)) l.bf16_flops = 1e9 * peak->median;
    fmt::print(stderr, "limits, threads:{}: {:.1f} GB/s, {:.1f} GFLOP/s f32", threads, 1e-9 * l.bytes, 1e-9 * l.flops);
    if (l.bf16_flops > 0) fmt::print(stderr, ", {:.1f} GFLOP/s bf16 dot", 1e-9 * l.bf16_flops);
    fmt::print(stderr, "\n");
  }
  return l;
}

std::vector<int> default_threads() {
  const int all = available_cpus();
  return all > 1 ? std::vector<int>{1, all} : std::vector<int>{1};
}

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double median(std::vector<double> values) {
  if (values.empty()) throw InternalError("the median of nothing");
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double bytes_of(const Case& c) {
  if (c.bytes > 0) return c.bytes;
  double bytes = 0;
  for (const Operand& o : c.operands) bytes += static_cast<double>(elements(extents_of(c, o)) * size_of(o.dtype));
  return bytes;
}

std::size_t last_level_cache() {
  // sysconf() would be shorter, and adds up the caches of cores that this machine does not have.
  std::size_t largest = 0;
  for (int index = 0;; ++index) {
    std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/size", index));
    std::size_t kilobytes = 0;
    if (!(file >> kilobytes)) break;
    largest = std::max(largest, kilobytes << 10);
  }
  return largest > 0 ? largest : std::size_t{32} << 20;
}

KernelCall::KernelCall(const Case& c, const DevicePtr& device, From from) {
  const Graph& g = c.kernel.graph();
  if (g.tensors.size() != c.operands.size()) {
    throw InternalError(fmt::format("{}: {} operands for {} tensors", c.name, c.operands.size(), g.tensors.size()));
  }
  std::vector<Host> inputs, images;
  double footprint = 0;
  for (std::size_t i = 0; i < c.operands.size(); ++i) {
    inputs.push_back(make_host(c, c.operands[i], g.tensors[i].written, i + 1));
    images.push_back(packed(inputs[i], packing_of(c, i)));
    footprint += static_cast<double>(images[i].bytes.size());
  }
  constexpr double kMaxCopies = 256, kMaxBytes = 1 << 30;
  const double wanted = std::ceil(3 * static_cast<double>(last_level_cache()) / bytes_of(c));
  const double possible = from == From::cache ? 1 : std::min(kMaxCopies, std::floor(kMaxBytes / footprint));
  const double copies = std::max(1.0, std::min(wanted, possible));
  cached_ = copies < wanted;

  Compiler compiler(device);
  ModulePtr module;
  std::vector<TensorView> first;
  for (int copy = 0; copy < static_cast<int>(copies); ++copy) {
    std::vector<TensorView> views;
    for (const Host& image : images) views.push_back(upload(image, *device, buffers_));
    if (copy == 0) {
      module = compiler.get(c.kernel, signature_of(views), c.schedule);
      first = views;
    }
    programs_.push_back(std::make_unique<Program>(device));
    programs_.back()->add(module, views);
  }

  programs_[0]->run();
  std::vector<Host> results(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (g.tensors[i].written) results[i] = download(inputs[i], first[i], packing_of(c, i), *device, *buffers_[i]);
  }
  check(c, inputs, results);
}

std::unique_ptr<Program> empty_program(const DevicePtr& device, int calls, std::vector<BufferPtr>& buffers) {
  const Kernel empty("empty", {"Y"}, [](Tensor<f32> Y) {
    Range i = parallel("i", Y.dim(0));
    Y(i) = fill(0, i);
  });
  const auto blocks = static_cast<std::int64_t>(device->threads());
  constexpr std::int64_t kBlock = 16;  // a cache line each
  buffers.push_back(device->allocate(static_cast<std::size_t>(blocks * kBlock * 4)));
  const std::vector<TensorView> views{buffers.back()->view(DType::f32, {blocks * kBlock})};
  Schedule schedule;
  schedule.tile = {{"i", static_cast<int>(kBlock)}};
  const ModulePtr module = Compiler(device).get(empty, signature_of(views), schedule);
  auto program = std::make_unique<Program>(device);
  for (int i = 0; i < calls; ++i) program->add(module, views);
  return program;
}

}  // namespace wavetile::bench
