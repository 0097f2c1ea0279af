#include "codegen/layout.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace wavetile {
namespace {

bool zero(const Coord& c) {
  return std::all_of(c.begin(), c.end(), [](int x) { return x == 0; });
}
void add_bits(Coord& c, const Bases& bases, int bits) {
  for (size_t i = 0; i < bases.size(); ++i)
    if (bits >> i & 1)
      for (size_t a = 0; a < c.size(); ++a) c[a] ^= bases[i][a];
}
Coord project(const Coord& c, const std::vector<int>& positions) {
  Coord p;
  for (int i : positions) p.push_back(c[static_cast<size_t>(i)]);
  return p;
}

}  // namespace

int Layout::registers() const {
  int n = 1 << reg.size();
  for (int r : reps) n *= r;
  return n;
}

Coord Layout::at(int r, int l, int w) const {
  Coord c(axes.size(), 0);
  add_bits(c, reg, r & ((1 << reg.size()) - 1));
  add_bits(c, lane, l);
  add_bits(c, warp, w);
  int rep = r >> reg.size();
  for (size_t a = axes.size(); a-- > 0;) {
    c[a] += rep % reps[a] * block[a];
    rep /= reps[a];
  }
  return c;
}

int Layout::position(RangeId axis) const {
  auto it = std::find(axes.begin(), axes.end(), axis);
  return it == axes.end() ? -1 : static_cast<int>(it - axes.begin());
}

bool Layout::lane_uniform() const { return std::all_of(lane.begin(), lane.end(), zero); }

Layout Layout::restricted(const Axes& keep) const {
  Layout l;
  std::vector<int> positions;
  for (size_t a = 0; a < axes.size(); ++a)
    if (contains(keep, axes[a])) {
      positions.push_back(static_cast<int>(a));
      l.axes.push_back(axes[a]);
      l.reps.push_back(reps[a]);
      l.block.push_back(block[a]);
    }
  for (const Coord& c : reg) {
    Coord p = project(c, positions);
    if (!zero(p) || zero(c)) l.reg.push_back(p);  // a register bit along a dropped axis disappears
  }
  for (const Coord& c : lane) l.lane.push_back(project(c, positions));
  for (const Coord& c : warp) l.warp.push_back(project(c, positions));
  return l;
}

Layout Layout::without(RangeId axis) const { return restricted(wavetile::without(axes, axis)); }

Layout Layout::with_registers(RangeId axis, int extent) const {
  Layout l;
  l.axes = united(axes, {axis});
  for (RangeId a : l.axes) {
    int p = position(a);
    l.reps.push_back(p < 0 ? extent : reps[static_cast<size_t>(p)]);
    l.block.push_back(p < 0 ? 1 : block[static_cast<size_t>(p)]);
  }
  auto widen = [&](const Bases& from, Bases& to) {
    for (const Coord& c : from) {
      Coord w;
      for (RangeId a : l.axes) w.push_back(position(a) < 0 ? 0 : c[static_cast<size_t>(position(a))]);
      to.push_back(w);
    }
  };
  widen(reg, l.reg);
  widen(lane, l.lane);
  widen(warp, l.warp);
  return l;
}

int Layout::register_at(const Coord& c) const {
  int rep = 0;
  Coord rest = c;
  for (size_t a = 0; a < axes.size(); ++a) {
    if (c[a] / block[a] >= reps[a]) return -1;
    rep = rep * reps[a] + c[a] / block[a];
    rest[a] = c[a] % block[a];
  }
  for (int bits = 0; bits < 1 << reg.size(); ++bits) {
    Coord x(axes.size(), 0);
    add_bits(x, reg, bits);
    if (x == rest) return rep << reg.size() | bits;
  }
  return -1;
}

int Layout::replicas(const Bases& bases) const {
  int mask = 0;
  for (size_t i = 0; i < bases.size(); ++i)
    if (zero(bases[i])) mask |= 1 << i;
  return mask;
}

std::string Layout::text(const Graph& g) const {
  auto bases = [&](std::string_view name, const Bases& bs) {
    std::string s;
    for (const Coord& c : bs) {
      std::string one;
      for (size_t a = 0; a < c.size(); ++a)
        if (c[a]) one += fmt::format("{}{}{}", one.empty() ? "" : "+", g.range(axes[a]).name, c[a]);
      s += (s.empty() ? "" : " ") + (one.empty() ? "-" : one);
    }
    return s.empty() ? s : fmt::format(" {}({})", name, s);
  };
  std::string s = "{";
  for (size_t a = 0; a < axes.size(); ++a)
    s += fmt::format("{}{}={}x{}", a ? " " : "", g.range(axes[a]).name, reps[a], block[a]);
  return s + bases("reg", reg) + bases("lane", lane) + bases("warp", warp) + "}";
}

int LaneMap::operator()(int lane) const {
  int from = offset;
  for (size_t i = 0; i < bases.size(); ++i)
    if (lane >> i & 1) from ^= bases[i];
  return from;
}
bool LaneMap::identity() const {
  for (size_t i = 0; i < bases.size(); ++i)
    if (bases[i] != 1 << i) return false;
  return offset == 0;
}

namespace {
// Whether a coordinate is outside of everything that a layout covers, in any warp.
bool beyond(const Layout& l, const Coord& c) {
  for (size_t a = 0; a < c.size(); ++a)
    if (c[a] >= l.block[a] * l.reps[a]) return true;
  return false;
}
}  // namespace

Conversion plan_conversion(const Layout& from, const Layout& to) {
  Conversion plan;
  if (from == to) return plan;
  int lanes = 1 << to.lane.size(), warps = 1 << to.warp.size();

  // Where each element can be read in warp 0: the register, and the lane with its replica bits clear.
  int replicas = from.replicas(from.lane);
  std::map<Coord, std::pair<int, int>> home;
  for (int l = lanes; l-- > 0;)
    for (int r = from.registers(); r-- > 0;) home[from.at(r, l, 0)] = {r, l};

  bool moves = false;
  for (int r = 0; r < to.registers(); ++r) {
    std::vector<Source> sources;
    // What lies beyond the tile is nowhere, and any value does.
    std::vector<const std::pair<int, int>*> places(static_cast<size_t>(lanes), nullptr);
    const std::pair<int, int>* one = nullptr;
    for (int l = 0; l < lanes; ++l) {
      Coord c = to.at(r, l, 0);
      auto it = home.find(c);
      if (it != home.end()) {
        places[static_cast<size_t>(l)] = &it->second;
        if (!one) one = &it->second;
      } else if (!beyond(from, c)) {
        return {Conversion::shared, {}};
      }
    }
    if (!one) {
      LaneMap stay;
      for (size_t i = 0; i < to.lane.size(); ++i) stay.bases.push_back(1 << i);
      plan.sources.push_back({{0, std::vector<bool>(static_cast<size_t>(lanes), true), stay}});
      continue;
    }
    // One place for all lanes if there is one. Otherwise, of the replicas, a lane reads that which has its own replica
    // bits: itself where it can (staying is free), and the map remains linear.
    bool same = true, stays = true;
    for (int l = 0; l < lanes; ++l)
      if (const auto* p = places[static_cast<size_t>(l)]) {
        same &= *p == *one;
        stays &= p->first == one->first && p->second == (l & ~replicas);
      }
    for (int l = 0; l < lanes; ++l) {
      if (!places[static_cast<size_t>(l)]) continue;
      std::pair<int, int> at = *places[static_cast<size_t>(l)];
      if (stays || !same) at.second |= l & replicas;
      auto source = std::find_if(sources.begin(), sources.end(), [&](const Source& s) { return s.reg == at.first; });
      if (source == sources.end()) {
        sources.push_back({at.first, std::vector<bool>(static_cast<size_t>(lanes), false), {}});
        source = sources.end() - 1;
        source->from.bases.assign(static_cast<size_t>(lanes), -1);  // a table until it is shown to be linear
      }
      source->lanes[static_cast<size_t>(l)] = true;
      source->from.bases[static_cast<size_t>(l)] = at.second;
    }
    for (Source& s : sources) {
      // Find an affine map that agrees with the table on the lanes that use it.
      std::vector<int> table = std::move(s.from.bases);
      LaneMap m;
      size_t first = static_cast<size_t>(std::find(s.lanes.begin(), s.lanes.end(), true) - s.lanes.begin());
      m.bases.assign(to.lane.size(), 0);
      for (size_t i = 0; i < to.lane.size(); ++i) {
        size_t other = first ^ size_t { 1 } << i;
        m.bases[i] = s.lanes[other] ? table[other] ^ table[first] : 0;
      }
      m.offset = table[first] ^ m(static_cast<int>(first));
      for (size_t l = 0; l < s.lanes.size(); ++l)
        if (s.lanes[l] && m(static_cast<int>(l)) != table[l]) return {Conversion::shared, {}};
      s.from = m;
      // The other warps do the same with their own registers: it must give them what they want.
      if (from.warp != to.warp)
        for (int w = 1; w < warps; ++w)
          for (int l = 0; l < lanes; ++l)
            if (s.lanes[static_cast<size_t>(l)] && from.at(s.reg, m(l), w) != to.at(r, l, w))
              return {Conversion::shared, {}};
      for (size_t l = 0; l < s.lanes.size(); ++l) moves |= s.lanes[l] && m(static_cast<int>(l)) != static_cast<int>(l);
      moves |= sources.size() > 1;
    }
    plan.sources.push_back(std::move(sources));
  }
  plan.kind = moves ? Conversion::lanes : Conversion::registers;
  return plan;
}

}  // namespace wavetile
