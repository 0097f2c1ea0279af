// Attention over a cache, and appending to it.
#include <cmath>
#include <numeric>

#include "checks/library.h"
#include "kernels/kernels.h"
#include "kernels/schedules.h"

namespace wavetile::checks {
namespace {

struct Shape {
  int64_t heads, rows, keys, d, e;
};
Shape random_shape(int64_t d, int64_t e, int64_t budget) {
  Shape s{random_int(1, 3), chance(3) ? 1 : random_int(1, 19), 0, d, e};
  s.keys = random_extent(std::clamp<int64_t>(budget / (s.heads * s.rows * (d + e)), 1, 1100));
  return s;
}

Case attention_case(const Shape& s, DType cache, DType out, double scale) {
  int64_t start = one_of<int64_t>({0, std::max<int64_t>(0, s.keys - s.rows), random_int(0, s.keys), s.keys + 3});
  double size = one_of({1.0, 4.0});
  HostTensor q = random_tensor(DType::f32, {s.heads, s.rows, s.d}, size),
             k = random_tensor(cache, {s.heads, s.keys, s.d}, size), v = random_tensor(cache, {s.heads, s.keys, s.e});
  if (chance(4)) {  // an infinite score would leave no weights; values may be anything
    make_odd(q, 0);
    make_odd(k, 0);
    make_odd(v, chance(2) ? 1 : 0);
    if (chance(3)) k.set(random_int(0, k.elements() - 1), std::numeric_limits<double>::quiet_NaN());
  }
  double error = scale * summation(s.d, size * size).absolute;
  return {{q, k, v, tensor_of(DType::i32, {1}, {static_cast<double>(start)}), output(out, {s.heads, s.rows, s.e})},
          attention_of(s.keys, error)};
}

Schedule random_attention_schedule(const Caps& caps) {
  Schedule s;
  int wide = caps.simd ? 3 * caps.lanes : 32;
  s.tile = {{"head", one_of({1, 1, 2})}, {"m", one_of({1, 1, 2, 3, 4, 8})}, {"t", one_of({1, 4, 7, 16, wide})}};
  if (!caps.simd) s.tile["m"] = one_of({1, 2, 3});
  if (!chance(3)) s.packing["K"] = chance(2) ? Packing{{{1, one_of({4, 8, 16})}}} : random_packing(3);
  if (chance(3)) s.packing["V"] = random_packing(3);
  if (!chance(3)) s.split["t"] = static_cast<int>(random_int(1, 5));
  if (chance(2)) s.share = std::string("t");
  s.stages = one_of({1, 1, 2, 3});
  if (!chance(3)) s.order = random_walk({"head", "m"});
  return s;
}

}  // namespace

Subject attention(DType cache) {
  return [=](const Caps& caps, bool library, Placement p) {
    int64_t d = one_of({1, 3, 8, 16, 64}), e = chance(2) ? d : one_of({1, 5, 16, 32});
    double scale = 1 / std::sqrt(static_cast<double>(d));
    DType out = library ? kernels::input_type(caps, cache) : chance(4) ? DType::bf16 : DType::f32;
    std::optional<Shape> fixed;
    if (p == Placement::known) fixed = random_shape(d, e, 3000);
    auto make = [=](int64_t budget) {
      return attention_case(fixed ? *fixed : random_shape(d, e, budget), cache, out, scale);
    };
    DType factors = library && chance(2) ? kernels::factor_type(caps, cache) : chance(4) ? cache : DType::f32;
    // A weight that is on the edge between two numbers of that type may be rounded to either.
    double rounding = factors == DType::f32 ? 0 : unit_roundoff(factors);
    auto rounded = [=](int64_t budget) {
      Case c = make(budget);
      c.tolerance.absolute += attention_of(1, rounding).absolute;
      return c;
    };
    Schedule s = library ? kernels::attention_schedule(caps, chance(2), false, factors, std::gcd(d, e))
                         : random_attention_schedule(caps);
    return Variant{kernels::attention(cache, scale, out, factors), s, rounded};
  };
}

Subject append_to_cache(DType cache) {
  return [=](const Caps& caps, bool library, Placement p) {
    int64_t d = one_of({1, 3, 16, 64, 80});
    Shape fixed = random_shape(d, d, 3000);
    auto make = [=](int64_t budget) {
      Shape s = p == Placement::known ? fixed : random_shape(d, d, budget);
      int64_t start = one_of<int64_t>({0, random_int(0, s.keys), std::max<int64_t>(0, s.keys - 1), s.keys + 3});
      HostTensor k = random_tensor(DType::f32, {s.heads, s.rows, d}, 1e5),
                 v = random_tensor(DType::f32, {s.heads, s.rows, d});
      if (chance(3)) {
        make_odd(k, 3);
        make_odd(v, 3);
      }
      return Case{{k, v, tensor_of(DType::i32, {1}, {static_cast<double>(start)}),
                   random_tensor(cache, {s.heads, s.keys, d}), random_tensor(cache, {s.heads, s.keys, d})},
                  exact()};
    };
    Schedule s = kernels::append_schedule(caps);
    if (!library) {
      s = {};
      s.tile = {{"head", one_of({1, 2})}, {"m", one_of({1, 2, 3, 4, 8})}};
      for (const char* t : {"K", "V", "NewK"})
        if (chance(2)) s.packing[t] = random_packing(3);
      s.order = random_walk({"head", "m"});
    }
    return Variant{kernels::append_to_cache(cache), s, make};
  };
}

namespace {
// Sequences at positions of their own.
HostTensor random_starts(int64_t sequences, int64_t keys) {
  HostTensor start(DType::i32, {sequences});
  for (int64_t s = 0; s < sequences; ++s)
    start.set(s, static_cast<double>(one_of<int64_t>({0, random_int(0, keys), keys + 3})));
  return start;
}
Schedule with_sequences(Schedule s) {  // the schedule of the kernel without that axis
  for (auto& [name, p] : s.packing)
    for (auto& b : p.blocks) ++b.dim;
  return s;
}

}  // namespace

Subject batched_attention() {
  return [](const Caps& caps, bool library, Placement p) {
    DType cache = one_of({DType::f32, DType::f16, DType::bf16});
    int64_t d = one_of({1, 8, 16, 64}), e = chance(2) ? d : one_of({5, 16});
    double scale = 1 / std::sqrt(static_cast<double>(d));
    DType out = library ? kernels::input_type(caps, cache) : DType::f32;
    Shape fixed = random_shape(d, e, 1000);
    int64_t fixed_sequences = random_int(1, 3);
    auto make = [=](int64_t budget) {
      bool known = p == Placement::known;
      int64_t n = known ? fixed_sequences : random_int(1, 5);
      Shape s = known ? fixed : random_shape(d, e, budget / (2 * n));
      HostTensor q = random_tensor(DType::f32, {n, s.heads, s.rows, d}),
                 k = random_tensor(cache, {n, s.heads, s.keys, d}), v = random_tensor(cache, {n, s.heads, s.keys, e});
      return Case{{q, k, v, random_starts(n, s.keys), output(out, {n, s.heads, s.rows, e})},
                  attention_of(s.keys, scale * summation(d).absolute)};
    };
    Schedule s =
        library ? kernels::attention_schedule(caps, chance(2), true) : with_sequences(random_attention_schedule(caps));
    return Variant{kernels::batched_attention(cache, scale, out), s, make};
  };
}

Subject batched_append_to_cache() {
  return [](const Caps& caps, bool library, Placement p) {
    DType cache = one_of({DType::f32, DType::f16, DType::bf16});
    int64_t d = one_of({1, 3, 16, 64, 80}), fixed_sequences = random_int(1, 3);
    Shape fixed = random_shape(d, d, 1000);
    auto make = [=](int64_t budget) {
      bool known = p == Placement::known;
      int64_t n = known ? fixed_sequences : random_int(1, 5);
      Shape s = known ? fixed : random_shape(d, d, budget / (2 * n));
      HostTensor k = random_tensor(DType::f32, {n, s.heads, s.rows, d}), v = random_tensor(DType::f32, k.extents);
      return Case{{k, v, random_starts(n, s.keys), random_tensor(cache, {n, s.heads, s.keys, d}),
                   random_tensor(cache, {n, s.heads, s.keys, d})},
                  exact()};
    };
    Schedule s = kernels::append_schedule(caps, true);
    if (!library) s = {.tile = {{"head", one_of({1, 2})}, {"m", one_of({1, 2, 3, 8})}}};
    return Variant{kernels::batched_append_to_cache(cache), s, make};
  };
}

}  // namespace wavetile::checks
