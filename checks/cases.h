// Random cases of the library's kernels. A Variant is what one compiled kernel needs: a schedule, and how tensors lie
// in memory; it makes any number of cases. Extents come from where bugs live: 1, primes, a little more than a tile.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "checks/run.h"

namespace wavetile {

inline int64_t random_int(int64_t lo, int64_t hi) {
  return std::uniform_int_distribution<int64_t>(lo, hi)(random_engine());
}
inline bool chance(int one_in) { return random_int(1, one_in) == 1; }
template <class T>
T one_of(std::initializer_list<T> values) {
  return values.begin()[random_int(0, static_cast<int64_t>(values.size()) - 1)];
}

inline int64_t random_extent(int64_t most) {
  int64_t e =
      one_of<int64_t>({1, 2, 3, 5, 7, 13, 17, 31, 37, 61, 64, 127, 131, 257, 768, 771, 1021, 50257, 0, 0, 0, 0});
  return e >= 1 && e <= most ? e : random_int(1, std::clamp<int64_t>(most, 1, 70));
}
/// `n` extents whose product is at most `budget`; which of them may be long is left to chance.
inline std::vector<int64_t> random_extents(size_t n, int64_t budget) {
  std::vector<int64_t> e(n);
  std::vector<size_t> order;
  for (size_t i = 0; i < n; ++i) order.insert(order.begin() + random_int(0, static_cast<int64_t>(i)), i);
  for (size_t i : order) {
    e[i] = random_extent(std::max<int64_t>(1, budget));
    budget /= e[i];
  }
  return e;
}

/// How the tensors of a case lie in memory, and so what their kernel may be compiled for.
enum class Placement {
  known,     // dense and aligned; all extents, strides and alignments are compiled in
  padded,    // rows with gaps, at any offset; innermost strides are 1
  scattered  // any strides at all
};
inline Known known_of(Placement p) {
  if (p == Placement::known) return {};
  return {false, p == Placement::padded ? Known::innermost : Known::none, false};
}
inline HostTensor placed(const HostTensor& t, Placement p) {
  if (p == Placement::known || t.extents.empty()) return t;
  std::vector<size_t> order;  // dimensions, the innermost first
  for (size_t d = t.extents.size(); d-- > 0;) order.push_back(d);
  if (p == Placement::scattered) std::shuffle(order.begin(), order.end(), random_engine());
  std::vector<int64_t> strides(t.extents.size());
  int64_t next = p == Placement::padded ? 1 : random_int(2, 3);
  for (size_t d : order) {
    strides[d] = next;
    next = std::max<int64_t>(2, next * std::max<int64_t>(1, t.extents[d]) + random_int(0, 5));
  }
  return strided(t, strides, random_int(0, 17));
}

/// Sprinkles zeros of both signs and denormals over a tensor and sets `specials` elements to an infinity or NaN.
inline void make_odd(HostTensor& t, int specials) {
  constexpr double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  int64_t n = t.elements();
  if (n == 0) return;
  for (int64_t i = 0; i < n / 10 + 1; ++i)
    t.set(random_int(0, n - 1), one_of({0.0, -0.0, 1e-40, -1e-40, 0x1p-149, 0x1p-133, -6e-8, 0x1p-24}));
  for (int i = 0; i < specials; ++i) t.set(random_int(0, n - 1), one_of({inf, -inf, nan}));
}

struct Case {
  std::vector<HostTensor> tensors;
  Tolerance tolerance;
};
struct Variant {
  Kernel kernel;
  Schedule schedule;
  std::function<Case(int64_t budget)> make;  // of about `budget` steps for the interpreter
};
/// A variant with the library's schedule or with a random legal one.
using Subject = std::function<Variant(const Caps&, bool library, Placement)>;

/// How many cases of how many variants, each of about `budget` steps for the interpreter (the eighth of a variant has
/// 15 times as many).
struct Rounds {
  int variants = 3, cases = 2;
  int64_t budget = 20000;
};
/// Runs cases until one is wrong; gives it and what is wrong with it, in lines. Counts in `begun` those that it began.
inline std::vector<std::string> differences(const Machine& m, const Subject& subject, const Rounds& rounds,
                                            int* begun = nullptr) {
  const Caps& caps = caps_of(*m.target);
  for (int i = 0; i < rounds.variants; ++i) {
    const bool gpu = m.device && !caps.simd;
    // A GPU, which gets few, too has kernels that know extents and alignment.
    const bool known = gpu ? i % 3 == 1 : i % 7 == 6;
    Placement p = known ? Placement::known : i % 3 == 2 ? Placement::scattered : Placement::padded;
    Variant s = subject(caps, i % 2 == 0 || gpu, p);  // a random schedule may ask a GPU for too many registers
    if (!gpu && (i % 2 || !caps.simd)) s.schedule.warps = std::min(1 << i % 3, caps.max_warps);
    for (int c = 0; c < rounds.cases; ++c) {
      if (begun) ++*begun;
      Case x = s.make(c == 7 ? 15 * rounds.budget : rounds.budget);
      for (HostTensor& t : x.tensors) t = placed(t, p);
      auto lines = differences(m, s.kernel, s.schedule, x.tensors, x.tolerance, {}, known_of(p));
      // Strides that a kernel does not know cost registers, which the library's schedules have none to spare for: a GPU
      // may refuse such a kernel.
      const bool refused = gpu && p == Placement::scattered && lines.size() == 1 &&
                           lines[0].find("does not fit the registers") != std::string::npos;
      if (lines.empty() || refused) continue;
      lines.insert(lines.begin(), describe_case(m, s.kernel, s.schedule, x.tensors, known_of(p)));
      return lines;
    }
  }
  return {};
}

/// Extents that change from case to case, or stay where they are compiled in.
class Extents {
 public:
  Extents(size_t n, Placement p) : n_(n), fixed_(p == Placement::known) {}
  std::vector<int64_t> operator()(int64_t budget) {
    if (last_.empty() || !fixed_) last_ = random_extents(n_, budget);
    return last_;
  }

 private:
  size_t n_;
  bool fixed_;
  std::vector<int64_t> last_;
};

/// Blocks of a power of two of some dimensions below `rank`.
inline Packing random_packing(int rank) {
  Packing p;
  std::vector<int> dims;
  for (int d = 0; d < rank; ++d) dims.push_back(d);
  std::shuffle(dims.begin(), dims.end(), random_engine());
  for (int i = 0; i < std::min(rank, static_cast<int>(random_int(1, 2))); ++i)
    p.blocks.push_back({dims[static_cast<size_t>(i)], one_of({2, 4, 8, 16, 32})});
  p.streams = one_of({1, 1, 2, 4});
  return p;
}
/// A walk over some of the axes in runs, then over all of them in any order.
inline std::vector<Walk> random_walk(std::vector<std::string> axes) {
  std::vector<Walk> w;
  std::shuffle(axes.begin(), axes.end(), random_engine());
  for (int i = 0; i < random_int(0, 2); ++i)
    w.push_back({axes[static_cast<size_t>(random_int(0, static_cast<int64_t>(axes.size()) - 1))],
                 static_cast<int>(random_int(1, 5))});
  std::shuffle(axes.begin(), axes.end(), random_engine());
  for (const std::string& a : axes) w.push_back({a, 0});
  return w;
}

}  // namespace wavetile
