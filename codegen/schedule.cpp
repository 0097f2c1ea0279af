// From a schedule's names to block sizes, with errors that name the kernel's line.
#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "codegen/caps.h"
#include "codegen/passes.h"

namespace wavetile {

Digits digits_of(const Schedule& s, const std::string& tensor, int dim) {
  auto it = s.packing.find(tensor);
  if (it == s.packing.end()) return {};
  int64_t inner = 1;
  for (size_t i = it->second.blocks.size(); i-- > 0;) {
    const auto& b = it->second.blocks[i];
    if (b.dim == dim) return {b.size, inner, i == 0 ? it->second.streams : 1};
    inner *= b.size;
  }
  return {};
}

std::vector<int> contiguity(const Graph& g, const Signature& sig, const Schedule& s) {
  std::vector<int> score(g.ranges.size(), 0);
  std::function<void(const Region&)> walk = [&](const Region& r) {
    for (int id : r.ops) {
      const Op& op = g.ops[static_cast<size_t>(id)];
      if (op.kind == OpKind::fold) walk(op.body);
      if (op.kind != OpKind::load && op.kind != OpKind::store) continue;
      auto t = static_cast<size_t>(op.tensor);
      for (size_t d = 0; d < op.index.size(); ++d) {
        if (op.index[d].range < 0) continue;
        Digits digits = digits_of(s, g.tensors[t].name, static_cast<int>(d));
        bool innermost = digits.block > 1 ? digits.inner == 1
                                          : t < sig.size() && d < sig[t].strides.size() && sig[t].strides[d] == 1;
        if (innermost) ++score[static_cast<size_t>(op.index[d].range)];
      }
    }
  };
  walk(g.body);
  return score;
}

namespace {

int ceil_power(int64_t n) {
  int p = 1;
  while (p < n) p *= 2;
  return p;
}

// One fold walks it, outermost, and can be merged: after that only one warp goes on.
void check_shared(const Graph& g, const std::string& name) {
  int outermost = 0, all = 0;
  const Op* fold = nullptr;
  for (size_t id = 0; id < g.ops.size(); ++id) {
    const Op& op = g.ops[id];
    if (op.kind != OpKind::fold || g.range(op.range).name != name) continue;
    ++all;
    outermost += std::count(g.body.ops.begin(), g.body.ops.end(), static_cast<int>(id)) > 0;
    fold = &op;
  }
  if (all != 1 || outermost != 1)
    throw Error(g.loc, fmt::format("the schedule shares out range '{}' of kernel '{}' among warps, which {}; one "
                                   "outermost fold has to walk it",
                                   name, g.name,
                                   all > 1    ? "several folds walk"
                                   : all == 1 ? "a fold inside another one walks"
                                              : "no fold walks"));
  if (fold->merge.ops.empty())
    throw Error(fold->loc,
                fmt::format("the schedule shares out range '{}' of kernel '{}' among warps, and its fold says "
                            "nothing of how two parts are merged; give fold a merge, or let its body end in "
                            "acc + ...",
                            name, g.name));
}

}  // namespace

Graph apply_schedule(const Graph& g, const Schedule& s, const Signature& sig, const Caps& caps) {
  Graph out = g;
  auto known = [&](const std::string& name) {
    return std::any_of(g.ranges.begin(), g.ranges.end(), [&](const RangeInfo& r) { return r.name == name; });
  };
  auto names = [&] {
    std::string n;
    for (const RangeInfo& r : g.ranges) n += (n.empty() ? "" : ", ") + r.name;
    return n;
  };
  auto check_name = [&](const std::string& name, std::string_view what) {
    if (!known(name))
      throw Error(g.loc, fmt::format("the schedule's {} names range '{}', and kernel '{}' has only {}", what, name,
                                     g.name, names()));
  };
  for (const auto& [name, tile] : s.tile) {
    check_name(name, "tile");
    if (tile < 1)
      throw Error(g.loc, fmt::format("the schedule gives range '{}' of kernel '{}' a tile of {}; it must be 1 or more",
                                     name, g.name, tile));
  }
  for (const Walk& w : s.order) check_name(w.axis, "order");
  for (const auto& [name, parts] : s.split) check_name(name, "split");
  if (!s.share.empty()) check_shared(g, s.share);
  if (s.warps < 1 || (s.warps & (s.warps - 1)) || s.warps > caps.max_warps)
    throw Error(g.loc, fmt::format("the schedule gives kernel '{}' {} warps a block; {} takes a power of two up to {}",
                                   g.name, s.warps, caps.name, caps.max_warps));
  constexpr int most_stages = 4;
  if (s.stages < 1 || s.stages > most_stages)
    throw Error(g.loc,
                fmt::format("the schedule gives kernel '{}' {} stages; it takes 1 (nothing is loaded ahead) to {}",
                            g.name, s.stages, most_stages));
  for (const auto& [tensor, packing] : s.packing) {
    const std::string& name = tensor;  // clang 14 captures no structured bindings
    auto t = std::find_if(g.tensors.begin(), g.tensors.end(), [&](const TensorParam& p) { return p.name == name; });
    if (t == g.tensors.end())
      throw Error(g.loc, fmt::format("the schedule packs tensor '{}', which kernel '{}' does not have", name, g.name));
    if (packing.streams < 1 || (packing.streams & (packing.streams - 1)) ||
        (packing.streams > 1 && packing.blocks.empty()))
      throw Error(g.loc, fmt::format("the schedule packs tensor '{}' of kernel '{}' in {} streams; it takes a power of "
                                     "two, and blocks to deal out",
                                     name, g.name, packing.streams));
    for (const auto& b : packing.blocks)
      if (b.dim < 0 || b.dim >= t->rank || b.size < 2 || (b.size & (b.size - 1)))
        throw Error(g.loc, fmt::format("the schedule packs dimension {} of tensor '{}' of kernel '{}' in blocks of {}; "
                                       "it has {} dimensions, and blocks are powers of two",
                                       b.dim, name, g.name, b.size, t->rank));
  }
  std::vector<int> score = contiguity(g, sig, s);
  // Kernels without reductions and folds have no better place for parallelism than their innermost axis.
  bool flat =
      std::none_of(g.ranges.begin(), g.ranges.end(), [](const RangeInfo& r) { return r.kind != RangeKind::parallel; });
  RangeId inner = -1;
  for (size_t r = 0; r < score.size(); ++r)
    if (g.ranges[r].kind == RangeKind::parallel && score[r] > 0 &&
        (inner < 0 || score[r] >= score[static_cast<size_t>(inner)]))
      inner = static_cast<RangeId>(r);
  for (size_t i = 0; i < out.ranges.size(); ++i) {
    RangeInfo& r = out.ranges[i];
    auto given = s.tile.find(r.name);
    constexpr int64_t unknown = std::numeric_limits<int64_t>::min();
    const int64_t extent = r.hi ? g.extent(static_cast<RangeId>(i)).value_or(unknown) : unknown;
    if (r.kind == RangeKind::whole) {
      if (!r.hi) continue;  // nothing uses it
      if (extent == unknown)
        throw Error(
            r.loc,
            fmt::format("range '{}' of kernel '{}' is whole, and its extent is not known when the kernel is "
                        "compiled; give that dimension in the signature, or make the range serial and fold over it",
                        r.name, g.name));
      r.tile = static_cast<int>(std::max<int64_t>(1, extent));
    } else if (r.tile > 0) {
      if (given != s.tile.end() && given->second != r.tile)
        throw Error(r.loc, fmt::format("the schedule gives range '{}' of kernel '{}' a tile of {}; the kernel makes it "
                                       "a range of one element a block, so leave it out of the schedule",
                                       r.name, g.name, given->second));
    } else if (given != s.tile.end()) {
      r.tile = given->second;
    } else if (r.kind == RangeKind::parallel) {
      r.tile = flat && static_cast<RangeId>(i) == inner ? caps.lanes * s.warps * (caps.simd ? 4 : 2) : 1;
    } else {
      r.tile = score[i] > 0 ? caps.lanes * 2 : 4;
      if (extent != unknown) r.tile = std::min(r.tile, ceil_power(extent));
    }
  }
  return out;
}

}  // namespace wavetile
