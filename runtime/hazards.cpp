#include "runtime/hazards.h"

#include <algorithm>
#include <utility>

namespace wavetile {
namespace {

Touched place_of(const TensorView& v, const Packing& packing) {
  int64_t lo = 0, hi = 1;
  for (size_t d = 0; d < v.extents.size(); ++d) {
    int64_t least = 0, most = 0;
    for (int64_t c = 0; c < v.extents[d]; ++c) {
      const int64_t place = packed_place(v.extents, v.strides, packing, d, c);
      least = std::min(least, place);
      most = std::max(most, place);
    }
    if (v.extents[d] == 0) return {};
    lo += least;
    hi += most;
  }
  const auto at = reinterpret_cast<uintptr_t>(v.data);
  const int64_t size = size_of(v.dtype);
  return {at + static_cast<uintptr_t>(lo * size), at + static_cast<uintptr_t>(hi * size)};
}

bool meet(const Touched& a, const Touched& b) { return (a.written || b.written) && std::max(a.begin, b.begin) < std::min(a.end, b.end); }

}  // namespace

std::vector<Touched> touched_by(const Stage& stage, std::span<const TensorView> tensors, const Schedule& schedule) {
  std::vector<Touched> all;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorParam& p = stage.graph.tensors[i];
    if (!p.read && !p.written) continue;
    const auto packing = schedule.packing.find(p.name);
    all.push_back(place_of(tensors[i], packing == schedule.packing.end() ? Packing{} : packing->second));
    all.back().written = p.written;
  }
  return all;
}

bool Hazards::waits(const std::vector<Touched>& launch) {
  const bool waits = !std::exchange(any_, true) || std::any_of(launch.begin(), launch.end(), [&](const Touched& t) {
    return std::any_of(running_.begin(), running_.end(), [&](const Touched& r) { return meet(t, r); });
  });
  if (waits) running_.clear();
  running_.insert(running_.end(), launch.begin(), launch.end());
  return waits;
}

}  // namespace wavetile
