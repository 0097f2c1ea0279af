// The sampling kernels against the interpreter, and against each other on all machines: what they choose must agree to
// the bit.
#include <gtest/gtest.h>

#include "dsl/interpret.h"
#include "kernels/sampling.h"
#include "tests/kernels/cases.h"

namespace wavetile {
namespace {

using kernels::SamplingSettings;
constexpr double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();

SamplingSettings random_settings() {
  SamplingSettings s;
  s.temperature = one_of({0.0f, 1.0f, 0.7f, 1.6f, 1.0f});
  s.top_p = one_of({1.0f, 1.0f, 0.9f, 0.5f, 0.03f, 0.0f, 0.999f});
  s.min_p = one_of({0.0f, 0.0f, 0.05f, 0.5f, 1.0f});
  s.penalty = one_of({1.0f, 1.3f, 0.8f});
  s.top_k = one_of({0, -1, 1, 2, 40, 1 << 30});
  s.seed[0] = static_cast<uint32_t>(random_engine()());
  s.seed[1] = static_cast<uint32_t>(random_engine()());
  return s;
}
struct Settings {
  HostTensor real, whole;
};
Settings tensors_of(const std::vector<SamplingSettings>& rows) {
  auto n = static_cast<int64_t>(rows.size());
  Settings t{HostTensor(DType::f32, {n, 4}), HostTensor(DType::i32, {n, 3})};
  for (int64_t r = 0; r < n; ++r) {
    const SamplingSettings& s = rows[static_cast<size_t>(r)];
    int64_t i = 0;
    for (float x : {s.temperature, s.top_p, s.min_p, s.penalty}) t.real.set(4 * r + i++, static_cast<double>(x));
    i = 0;
    for (int32_t x : {s.top_k, static_cast<int32_t>(s.seed[0]), static_cast<int32_t>(s.seed[1])})
      t.whole.set(3 * r + i++, x);
  }
  return t;
}
Settings random_rows(int64_t n) {
  std::vector<SamplingSettings> rows;
  for (int64_t i = 0; i < n; ++i) rows.push_back(random_settings());
  return tensors_of(rows);
}

// Logits with ties, infinities and NaNs now and then.
HostTensor random_logits(int64_t rows, int64_t columns) {
  HostTensor x = random_tensor(DType::f32, {rows, columns}, one_of({1.0, 10.0, 30.0}));
  if (chance(3))
    for (int64_t i = 0; i < x.elements(); ++i) x.set(i, static_cast<double>(random_int(-3, 3)));
  if (chance(4))
    for (int64_t i = 0; i < x.elements(); i += random_int(1, 4)) x.set(i, -inf);
  if (chance(4)) x.set(random_int(0, x.elements() - 1), one_of({inf, nan, -nan, -0.0}));
  if (chance(6))
    for (int64_t c = 0; c < columns; ++c) x.set(c, -inf);
  return x;
}
struct Extent {
  int64_t rows, columns;
};
Extent random_extent_of(bool is_virtual) {
  return {random_int(1, 3), random_extent(is_virtual ? 150 : chance(10) ? 3000 : 500)};
}
Schedule random_schedule(const Caps& caps) {
  return {.tile = {{"col", one_of({1, 5, 16, caps.lanes, 2 * caps.lanes, 8 * caps.lanes})}}};
}

TEST(Sampling, MarkSeen) {
  check_subject([](const Caps& caps, bool library, Placement p) {
    Extents extents(3, p);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget);
      HostTensor seen = random_integers(DType::u8, {e[0], e[1]}, 0, 1);
      return Case{{random_integers(DType::i32, {e[0], e[2]}, -1, e[1] + 1), seen}, exact()};
    };
    Schedule s = library ? kernels::rows_schedule(caps)
                         : Schedule{.tile = {{"row", one_of({1, 2, 3})}, {"i", one_of({1, 7, 64})}}};
    return Variant{kernels::mark_seen(), s, make};
  });
}

TEST(Sampling, AdjustLogits) {
  check_subject([](const Caps& caps, bool library, Placement p) {
    Extents extents(2, p);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget);
      return Case{{random_logits(e[0], e[1]), random_integers(DType::u8, e, 0, 1), random_rows(e[0]).real,
                   output(DType::f32, e)},
                  elementwise(2)};
    };
    return Variant{kernels::adjust_logits(), library ? kernels::sampling_schedule(caps) : random_schedule(caps), make};
  });
}

TEST(Sampling, LogSoftmaxStatistics) {
  check_subject([](const Caps& caps, bool library, Placement p) {
    int64_t columns = random_extent(caps.name.starts_with("virtual") ? 300 : 1100), fixed = random_int(1, 5);
    auto make = [=](int64_t) {
      int64_t rows = p == Placement::known ? fixed : random_int(1, 9);
      HostTensor x = random_tensor(DType::f32, {rows, columns}, one_of({1.0, 20.0, 200.0}));
      if (chance(4)) make_odd(x, chance(2) ? 1 : 0);
      return Case{{x, output(DType::f32, {rows}), output(DType::f32, {rows})}, softmax_of(columns)};
    };
    return Variant{kernels::log_softmax_statistics(), library ? kernels::rows_schedule(caps) : Schedule{}, make};
  });
}

HostTensor result_of(const Machine& m, const Kernel& k, const Schedule& s, std::vector<HostTensor> tensors,
                     Known known) {
  run_on(m, k, s, tensors, {}, known);
  return tensors.back();
}
HostTensor interpreted(const Kernel& k, std::vector<HostTensor> tensors) {
  std::vector<TensorView> views;
  for (HostTensor& t : tensors) views.push_back(t.view());
  interpret(k.graph(), views, {});
  return tensors.back();
}
// The last tensor, as the interpreter, the first machine and then every other see it.
void check_choice(const Kernel& k, const std::vector<HostTensor>& tensors, double tolerance) {
  HostTensor want = interpreted(k, tensors), first = want;
  for (const Machine& m : machines()) {
    const Caps& caps = caps_of(*m.target);
    auto p = one_of({Placement::padded, Placement::scattered});
    std::vector<HostTensor> moved;
    for (const HostTensor& t : tensors) moved.push_back(placed(t, p));
    Schedule s = chance(2) ? kernels::sampling_schedule(caps) : random_schedule(caps);
    if (!caps.simd) s.warps = std::min(one_of({1, 2, 4}), caps.max_warps);
    if (k.name() == "draw_token" && chance(3)) s.split = {{"col", static_cast<int>(random_int(1, 5))}};
    HostTensor got = result_of(m, k, s, moved, known_of(p));
    for (int64_t i = 0; i < want.elements(); ++i) {
      std::string where = m.name + ", row " + std::to_string(i) + "; WAVETILE_SEED=" + std::to_string(seed());
      ASSERT_TRUE(within(want.dtype, got.get(i), want.get(i), {tolerance, tolerance}))
          << where << ": " << got.get(i) << ", not " << want.get(i);
      if (&m == &machines()[0]) first = got;
      bool same = got.get(i) == first.get(i) || (std::isnan(got.get(i)) && std::isnan(first.get(i)));
      ASSERT_TRUE(same) << where << ": " << got.get(i) << " here, " << first.get(i) << " on the first machine";
    }
  }
}

TEST(Sampling, WeighTokens) {
  check_subject([](const Caps& caps, bool library, Placement p) {
    Extents extents(2, p);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget / 8);
      // The difference from the maximum was rounded to f32 before its exp.
      return Case{{random_logits(e[0], e[1]), random_rows(e[0]).real, output(DType::i32, e)}, {1e-5, 2}};
    };
    return Variant{kernels::weigh_tokens(), library ? kernels::sampling_schedule(caps) : random_schedule(caps), make};
  });
}

// As weigh_tokens would give them.
HostTensor weights_of(const HostTensor& z) {
  HostTensor w(DType::i32, z.extents);
  int64_t columns = z.extents[1];
  for (int64_t i = 0; i < z.elements(); i += columns) {
    double top = -inf;
    for (int64_t c = 0; c < columns; ++c) top = std::max(top, z.get(i + c));
    for (int64_t c = 0; c < columns; ++c) {
      double d = z.get(i + c) == top ? 0 : z.get(i + c) - top;
      w.set(i + c, std::isnan(d) ? 0 : std::floor(std::exp(d) * 0x1p30 + 0.5));
    }
  }
  return w;
}

TEST(Sampling, Threshold) {
  for (int i = 0; i < 20; ++i) {
    auto [rows, columns] = random_extent_of(i % 8 != 0);
    Settings s = random_rows(rows);
    HostTensor z = random_logits(rows, columns);
    check_choice(kernels::sampling_threshold(), {z, s.real, s.whole, weights_of(z), output(DType::f32, {rows})}, 1e-6);
    if (HasFailure()) return;
  }
}

TEST(Sampling, Draw) {
  for (int i = 0; i < 20; ++i) {
    auto [rows, columns] = random_extent_of(i % 8 != 0);
    Settings s = random_rows(rows);
    HostTensor least = random_tensor(DType::f32, {rows}, 10);
    if (chance(2)) least.set(0, one_of({-inf, nan, inf}));
    check_choice(kernels::draw_token(),
                 {random_logits(rows, columns), least, s.real, s.whole, random_integers(DType::i32, {rows}, 0, 100000),
                  output(DType::i32, {rows})},
                 0);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace wavetile
