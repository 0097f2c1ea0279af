#include "codegen/matrix.h"

#include <algorithm>
#include <bit>

#include "codegen/caps.h"

namespace wavetile {
namespace {

int ceil_div(int n, int by) { return (n + by - 1) / by; }
int trailing_zeros(int n) { return std::countr_zero(static_cast<unsigned>(n)); }

// A fragment's bits along two axes of a tile.
Layout spread(const Layout& fragment, const Axes& axes, RangeId first, RangeId second) {
  Layout l;
  l.axes = axes;
  l.block.assign(axes.size(), 1);
  auto place = [&](const Bases& from, Bases& to) {
    for (const Coord& c : from) {
      Coord wide(axes.size(), 0);
      wide[static_cast<size_t>(l.position(first))] = c[0];
      wide[static_cast<size_t>(l.position(second))] = c[1];
      to.push_back(wide);
    }
  };
  place(fragment.reg, l.reg);
  place(fragment.lane, l.lane);
  l.block[static_cast<size_t>(l.position(first))] = fragment.block[0];
  l.block[static_cast<size_t>(l.position(second))] = fragment.block[1];
  return l;
}

void repeat(const Graph& g, Layout& l) {
  l.reps.clear();
  for (size_t i = 0; i < l.axes.size(); ++i) l.reps.push_back(ceil_div(g.range(l.axes[i]).tile, l.block[i]));
}

}  // namespace

std::optional<MatrixUse> matrix_use(const Graph& g, const Op& dot, const Caps& caps, size_t a) {
  const Type &one = g.type(dot.args[a]), &other = g.type(dot.args[1 - a]);
  // A block may overhang only where nothing follows it.
  auto fits = [&](RangeId r, int size) {
    const RangeInfo& info = g.range(r);
    return info.kind == RangeKind::whole ? info.tile >= size : info.tile % size == 0;
  };
  auto own_axis = [&](const Type& of, const Type& lacks, int size) {
    RangeId best = -1;
    for (RangeId r : of.axes)
      if (r != dot.range && !contains(lacks.axes, r) && fits(r, size) &&
          (best < 0 || g.range(r).tile > g.range(best).tile))
        best = r;
    return best;
  };
  for (const MatrixUnit& u : caps.matrix) {
    if (one.dtype != u.factor || other.dtype != u.factor || dot.types[0].dtype != u.result) continue;
    MatrixUse use{&u, a, own_axis(one, other, u.rows()), own_axis(other, one, u.columns())};
    if (use.rows >= 0 && use.columns >= 0 && fits(dot.range, u.depth())) return use;
  }
  return {};
}

Layout matrix_result(const Graph& g, const Op& dot, const MatrixUse& use, int warp_bits) {
  Layout l = spread(use.unit->c, dot.types[0].axes, use.rows, use.columns);
  auto fragments = [&](RangeId r) { return ceil_div(g.range(r).tile, l.block[static_cast<size_t>(l.position(r))]); };
  for (int bit = 0; bit < warp_bits; ++bit) {
    RangeId best = -1;
    for (RangeId r : {use.columns, use.rows}) {
      if (fragments(r) % 2) continue;
      auto worth = [&](RangeId x) { return std::pair(g.range(x).kind == RangeKind::parallel, fragments(x)); };
      if (best < 0 || worth(r) > worth(best)) best = r;
    }
    Coord c(l.axes.size(), 0);
    if (best >= 0) {
      auto p = static_cast<size_t>(l.position(best));
      c[p] = l.block[p];
      l.block[p] *= 2;
    }
    l.warp.push_back(c);
  }
  repeat(g, l);
  return l;
}

Layout matrix_operand(const Graph& g, const Op& dot, size_t i, const MatrixUse& use, const Layout& result, bool wide,
                      int vector_bytes) {
  const MatrixUnit& u = *use.unit;
  RangeId own = i == use.a ? use.rows : use.columns, k = dot.range;
  const Axes& axes = g.type(dot.args[i]).axes;
  Layout fragment = i == use.a ? u.a : u.b;
  // Bits of k in the order in which they are dealt: the instruction's registers, its lanes; and between the two as many
  // of the following instructions as fill an access.
  int registers = 0, steps = 0;
  for (const Coord& c : fragment.reg) registers += c[1] != 0;
  if (wide) {
    int access = std::countr_zero(static_cast<unsigned>(vector_bytes / size_of(u.factor)));
    steps = std::clamp(trailing_zeros(ceil_div(g.range(k).tile, u.depth())), 0, std::max(0, access - registers));
  }
  for (Coord& c : fragment.lane) c[1] <<= steps;
  Layout l = spread(fragment, axes, own, k);
  auto at = [&](RangeId r) { return static_cast<size_t>(l.position(r)); };
  for (int s = 0; s < steps; ++s) {
    Coord c(axes.size(), 0);
    c[at(k)] = 1 << (registers + s);
    l.reg.push_back(c);
  }
  l.block[at(k)] <<= steps;
  auto p = static_cast<size_t>(result.position(own));
  l.block[at(own)] = result.block[p];
  for (const Coord& w : result.warp) {
    Coord c(axes.size(), 0);
    c[at(own)] = w[p];
    l.warp.push_back(c);
  }
  repeat(g, l);
  return l;
}

}  // namespace wavetile
