// The interpreter works on a copy in which every tensor lies as it does in memory, so that tensors that are the same
// memory stay so; packed ones are laid out row by row. Then each element either was written by the interpreter and is
// compared with what it wrote, or has to be as it was, down to the bytes between elements.
#include "runtime/verify.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include <fmt/format.h>

#include "dsl/interpret.h"
#include "runtime/error_bounds.h"
#include "runtime/tolerance.h"

namespace wavetile {
namespace {

double value_of(DType t, const char* p) {
  auto as = [&]<class T>(T x) {
    std::memcpy(&x, p, sizeof x);
    return x;
  };
  switch (t) {
    case DType::f32:
      return static_cast<double>(as(float{}));
    case DType::f16:
      return static_cast<double>(from_f16(as(uint16_t{})));
    case DType::bf16:
      return static_cast<double>(from_bf16(as(uint16_t{})));
    case DType::i32:
      return as(int32_t{});
    case DType::i8:
      return as(int8_t{});
    case DType::u8:
      return as(uint8_t{});
    case DType::b1:
      return as(uint8_t{}) != 0;
  }
  return 0;
}

int64_t elements_of(const TensorView& v) {
  int64_t n = 1;
  for (int64_t e : v.extents) n *= e;
  return n;
}

const Packing* packing_of(const CompiledKernel& k, size_t tensor) {
  auto it = k.schedule.packing.find(k.graph.tensors[tensor].name);
  return it == k.schedule.packing.end() ? nullptr : &it->second;
}

// Elements of a range's block in the compiled kernel: the schedule's, or what a default gave it.
int block_of(const CompiledKernel& k, const RangeInfo& r) {
  for (const Stage& s : k.stages)
    for (const RangeInfo& compiled : s.graph.ranges)
      if (compiled.name == r.name && compiled.tile > 0) return compiled.tile;
  return 1;
}

// Steps of the innermost loops of the op that takes most of them, for ranges of these extents.
double steps_of(const Graph& g, const Region& region, const Axes& around, const std::vector<double>& extents) {
  double most = 1;
  for (int id : region.ops) {
    const Op& op = g.ops[static_cast<size_t>(id)];
    Axes axes = around;
    for (const Type& t : op.types) axes = united(axes, t.axes);
    if (op.range >= 0) axes = united(axes, {op.range});
    double n = 1;
    for (RangeId r : axes) n *= extents[static_cast<size_t>(r)];
    most = std::max(most, n);
    if (op.kind == OpKind::fold) most = std::max(most, steps_of(g, op.body, axes, extents));
  }
  return most;
}

// The extents of ranges at a launch. Where a serial range's bounds come from memory it is at most as long as what it
// indexes.
std::vector<double> extents_at_launch(const Graph& g, const std::vector<TensorView>& tensors,
                                      const std::vector<double>& scalars) {
  std::vector<double> extents(g.ranges.size(), 1);
  for (const Op& op : g.ops)
    for (size_t d = 0; d < op.index.size(); ++d)
      if (RangeId r = op.index[d].range; r >= 0)
        extents[static_cast<size_t>(r)] = std::max(
            extents[static_cast<size_t>(r)], static_cast<double>(tensors[static_cast<size_t>(op.tensor)].extents[d]));
  for (size_t r = 0; r < extents.size(); ++r)
    if (g.ranges[r].kind != RangeKind::serial)
      extents[r] = static_cast<double>(extent_of(g, static_cast<RangeId>(r), tensors, scalars));
  return extents;
}

}  // namespace

CallCheck::CallCheck(const CompiledKernel& k, std::vector<TensorView> tensors, std::vector<double> scalars,
                     const VerifyOptions& options)
    : kernel_(k), tensors_(std::move(tensors)), scalars_(std::move(scalars)), unpacked_(tensors_.size()) {
  for (size_t t = 0; t < tensors_.size(); ++t) {
    const TensorParam& p = k.graph.tensors[t];  // what is not accessed need not have memory
    places_.push_back(p.read || p.written ? places_of(tensors_[t], packing_of(k, t)) : Places{});
  }
  copy_spans();
  interpret_call(options);
  poison();
}

CallCheck::Places CallCheck::places_of(const TensorView& v, const Packing* p) {
  Places all;
  if (elements_of(v) == 0) return all;
  all.hi = size_of(v.dtype);
  for (size_t d = 0; d < v.extents.size(); ++d) {
    std::vector<int64_t> of;
    for (int64_t c = 0; c < v.extents[d]; ++c)
      of.push_back(packed_place(v.extents, v.strides, p ? *p : Packing{}, d, c) * size_of(v.dtype));
    auto [least, most] = std::minmax_element(of.begin(), of.end());
    all.lo += *least;
    all.hi += *most;
    all.of.push_back(std::move(of));
  }
  return all;
}

// f(index, address) for each element, row by row.
template <class F>
void CallCheck::for_elements(const TensorView& v, const Places& p, F f) {
  if (p.lo == p.hi) return;
  std::vector<int64_t> at(v.extents.size(), 0);
  const size_t rank = at.size();
  auto* data = static_cast<char*>(v.data);
  if (rank == 0) return f(at, data);
  while (true) {
    int64_t row = 0;
    for (size_t d = 0; d + 1 < rank; ++d) row += p.of[d][static_cast<size_t>(at[d])];
    for (at[rank - 1] = 0; at[rank - 1] < v.extents[rank - 1]; ++at[rank - 1])
      f(at, data + row + p.of[rank - 1][static_cast<size_t>(at[rank - 1])]);
    size_t d = rank - 1;
    while (d > 0 && ++at[d - 1] == v.extents[d - 1]) at[--d] = 0;
    if (d == 0) return;
  }
}

void CallCheck::copy_spans() {
  for (size_t t = 0; t < tensors_.size(); ++t) {
    const Places& p = places_[t];
    if (p.lo == p.hi) continue;
    spans_.push_back({static_cast<char*>(tensors_[t].data) + p.lo, static_cast<size_t>(p.hi - p.lo),
                      kernel_.graph.tensors[t].written});
  }
  std::sort(spans_.begin(), spans_.end(), [](const Span& a, const Span& b) { return a.address < b.address; });
  std::vector<Span> merged;
  for (Span& s : spans_) {
    if (merged.empty() || s.address >= merged.back().address + merged.back().bytes) {
      merged.push_back(std::move(s));
      continue;
    }
    Span& m = merged.back();
    m.bytes = std::max(m.bytes, static_cast<size_t>(s.address + s.bytes - m.address));
    m.written |= s.written;
  }
  for (Span& s : merged) {
    s.skip = reinterpret_cast<uintptr_t>(s.address) % 16;
    s.before.resize(s.skip + s.bytes);
    std::memcpy(s.before.data() + s.skip, s.address, s.bytes);
    if (s.written) s.work = s.before;
  }
  spans_ = std::move(merged);
}

CallCheck::Span& CallCheck::span_of(size_t tensor) {
  char* first = static_cast<char*>(tensors_[tensor].data) + places_[tensor].lo;
  return *std::prev(std::upper_bound(spans_.begin(), spans_.end(), first,
                                     [](const char* a, const Span& s) { return a < s.address; }));
}

// The tensor that the interpreter takes for this one.
TensorView CallCheck::shadow_of(size_t tensor) {
  TensorView v = tensors_[tensor];
  if (places_[tensor].lo == places_[tensor].hi) return v;
  if (const Packing* p = packing_of(kernel_, tensor)) {
    v.strides = row_major(v.extents);
    for (size_t t = 0; t < tensor; ++t)  // the same memory
      if (tensors_[t].data == v.data && packing_of(kernel_, t) && *packing_of(kernel_, t) == *p) {
        v.data = unpacked_[t].data();
        return v;
      }
    auto size = static_cast<size_t>(size_of(v.dtype));
    unpacked_[tensor].resize(static_cast<size_t>(elements_of(v)) * size);
    char* to = unpacked_[tensor].data();
    for_elements(tensors_[tensor], places_[tensor], [&](const auto&, const char* from) {
      std::memcpy(to, from, size);
      to += size;
    });
    v.data = unpacked_[tensor].data();
    return v;
  }
  Span& s = span_of(tensor);
  v.data = (s.written ? s.work : s.before).data() + s.skip + (static_cast<char*>(v.data) - s.address);
  return v;
}

// Leaves a random window of the grid, in whole blocks, that takes few enough steps.
void CallCheck::narrow(Graph& g, const VerifyOptions& options) {
  std::vector<double> extents = extents_at_launch(kernel_.graph, tensors_, scalars_), window = extents;
  auto steps = [&] {
    Axes grid;
    for (size_t r = 0; r < g.ranges.size(); ++r)
      if (g.ranges[r].kind == RangeKind::parallel) grid.push_back(static_cast<RangeId>(r));
    return steps_of(kernel_.graph, kernel_.graph.body, grid, window);
  };
  auto block = [&](size_t r) { return static_cast<double>(block_of(kernel_, g.ranges[r])); };
  while (steps() > options.most) {
    size_t longest = g.ranges.size();
    for (size_t r = 0; r < g.ranges.size(); ++r)
      if (g.ranges[r].kind == RangeKind::parallel && window[r] > block(r) &&
          (longest == g.ranges.size() || window[r] / block(r) > window[longest] / block(longest)))
        longest = r;
    if (longest == g.ranges.size()) break;
    window[longest] = std::max(1.0, std::floor(window[longest] / block(longest) / 2)) * block(longest);
    whole_ = false;
  }
  if (whole_) return;
  std::mt19937_64 random(options.seed);
  for (size_t r = 0; r < g.ranges.size(); ++r) {
    RangeInfo& range = g.ranges[r];
    if (range.kind != RangeKind::parallel || window[r] == extents[r]) continue;
    auto begins = static_cast<uint64_t>(std::ceil((extents[r] - window[r]) / block(r))) + 1;
    double lo = static_cast<double>(random() % begins) * block(r), hi = std::min(extents[r], lo + window[r]);
    for (auto [bound, x] : {std::pair{&range.lo, lo}, std::pair{&range.hi, hi}}) {
      Op op{.kind = OpKind::constant, .args = {}, .types = {{DType::i32, {}}}, .loc = range.loc};
      op.constant = x;
      *bound = {static_cast<int>(g.ops.size()), 0};
      g.body.ops.insert(g.body.ops.begin(), bound->op);
      g.ops.push_back(std::move(op));
    }
  }
}

void CallCheck::interpret_call(const VerifyOptions& options) {
  Bounded b = with_error_bounds(kernel_.graph);
  stores_ = b.stores;
  narrow(b.graph, options);
  std::vector<TensorView> views;
  for (size_t t = 0; t < tensors_.size(); ++t) views.push_back(shadow_of(t));
  outputs_.reserve(b.outputs.size());
  for (const Bounded::Output& o : b.outputs) {
    const TensorView& v = views[static_cast<size_t>(o.tensor)];
    auto n = static_cast<size_t>(elements_of(v));
    outputs_.push_back({static_cast<size_t>(o.tensor), v, std::vector<float>(n), std::vector<int32_t>(n)});
  }
  for (Output& o : outputs_) {  // in the order of the graph: each error, then its site
    views.push_back(dense(DType::f32, o.errors.data(), o.want.extents));
    views.push_back(dense(DType::i32, o.sites.data(), o.want.extents));
  }
  InterpretOptions cut;  // a kernel that asks for the ends of its blocks sees those that it was compiled with
  for (const Op& op : kernel_.graph.ops)
    if (op.kind == OpKind::iota && op.iota != IotaKind::coordinate) {
      const RangeInfo& r = kernel_.graph.range(op.range);
      if (r.kind != RangeKind::whole) cut.tile[r.name] = block_of(kernel_, r);
    }
  interpret(b.graph, views, scalars_, cut);
}

void CallCheck::poison() {
  for (const Output& o : outputs_) {
    const TensorParam& p = kernel_.graph.tensors[o.tensor];
    bool shared = false;
    auto bytes = [&](size_t t) {
      auto* data = static_cast<char*>(tensors_[t].data);
      return std::pair{data + places_[t].lo, data + places_[t].hi};
    };
    auto [lo, hi] = bytes(o.tensor);
    for (size_t t = 0; t < tensors_.size(); ++t) shared |= t != o.tensor && bytes(t).first < hi && lo < bytes(t).second;
    if (p.read || shared) continue;
    auto size = static_cast<size_t>(size_of(p.dtype));
    const int32_t* site = o.sites.data();
    for_elements(tensors_[o.tensor], places_[o.tensor], [&](const auto&, char* at) {
      if (*site++) std::memset(at, 0xff, size);
    });
  }
}

std::string CallCheck::describe(const std::string& label) const {
  return label.empty() || label == kernel_.name ? fmt::format("kernel '{}'", kernel_.name)
                                                : fmt::format("kernel '{}' (call '{}')", kernel_.name, label);
}

constexpr const char* kAdvice = "the compiled kernel is wrong; write its stages with DumpTo to see where";

void CallCheck::compare_output(const Output& o, const std::string& label) {
  const TensorView& v = tensors_[o.tensor];
  const std::string& name = kernel_.graph.tensors[o.tensor].name;
  auto size = static_cast<size_t>(size_of(v.dtype));
  Places wanted = places_of(o.want, nullptr);
  Span& s = span_of(o.tensor);
  size_t i = 0;
  for_elements(v, places_[o.tensor], [&](const std::vector<int64_t>& index, char* at) {
    int32_t site = o.sites[i];
    double bound = static_cast<double>(o.errors[i++]) * (1 + 0x1p-20);  // it was rounded itself
    if (!site) return;
    const char* expected = static_cast<const char*>(o.want.data);
    for (size_t d = 0; d < index.size(); ++d) expected += wanted.of[d][static_cast<size_t>(index[d])];
    double got = value_of(v.dtype, at), want = value_of(v.dtype, expected);
    bool right = std::isfinite(bound) ? within(v.dtype, got, want, {0, bound}) : std::isnan(got) == std::isnan(want);
    if (!right)
      throw VerifyError(stores_[static_cast<size_t>(site) - 1],
                        fmt::format("{}: {}[{}] is {}, and the interpreter says {} ± {:.2g}; {}", describe(label), name,
                                    fmt::join(index, ", "), got, want, bound, kAdvice),
                        {label, name, index, got, want, bound});
    std::memcpy(s.before.data() + s.skip + (at - s.address), at, size);  // may have changed
  });
}

void CallCheck::compare_rest(const std::string& label) {
  for (const Span& s : spans_) {
    const char* before = s.before.data() + s.skip;
    if (std::memcmp(before, s.address, s.bytes) == 0) continue;
    const char* at = std::mismatch(s.address, s.address + s.bytes, before).first;
    for (size_t t = 0; t < tensors_.size(); ++t) {
      const TensorView& v = tensors_[t];
      for_elements(v, places_[t], [&](const std::vector<int64_t>& index, const char* element) {
        if (at < element || at >= element + size_of(v.dtype)) return;
        double got = value_of(v.dtype, element), was = value_of(v.dtype, before + (element - s.address));
        const std::string& name = kernel_.graph.tensors[t].name;
        throw VerifyError(kernel_.graph.loc,
                          fmt::format("{}: {}[{}] is {}, was {}, and the kernel does not write it; {}", describe(label),
                                      name, fmt::join(index, ", "), got, was, kAdvice),
                          {label, name, index, got, was, 0});
      });
    }
    throw VerifyError(
        kernel_.graph.loc,
        fmt::format("{}: it changed a byte between the elements of its tensors; {}", describe(label), kAdvice),
        {label, "", {}, 0, 0, 0});
  }
}

void CallCheck::compare(const std::string& label) {
  for (const Output& o : outputs_)
    if (elements_of(o.want) > 0) compare_output(o, label);
  if (whole_) compare_rest(label);
}

}  // namespace wavetile
