// The sampling kernels. What they choose must agree to the bit everywhere.
#include <cmath>

#include "checks/library.h"
#include "kernels/sampling.h"
#include "kernels/schedules.h"

namespace wavetile::checks {
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
Schedule random_schedule(const Caps& caps) {
  return {.tile = {{"col", one_of({1, 5, 16, caps.lanes, 2 * caps.lanes, 8 * caps.lanes})}}};
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

}  // namespace

std::vector<HostTensor> threshold_tensors(int64_t rows, int64_t columns) {
  Settings s = random_rows(rows);
  HostTensor z = random_logits(rows, columns);
  return {z, s.real, s.whole, weights_of(z), output(DType::f32, {rows})};
}
std::vector<HostTensor> draw_tensors(int64_t rows, int64_t columns) {
  Settings s = random_rows(rows);
  HostTensor least = random_tensor(DType::f32, {rows}, 10);
  if (chance(2)) least.set(0, one_of({-inf, nan, inf}));
  return {random_logits(rows, columns), least, s.real, s.whole, random_integers(DType::i32, {rows}, 0, 100000),
          output(DType::i32, {rows})};
}
Schedule random_sampling_schedule(const Caps& caps) { return random_schedule(caps); }

Subject sampling_threshold() {
  return [](const Caps& caps, bool library, Placement p) {
    Extents extents(2, p);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget / 64);
      return Case{threshold_tensors(e[0], e[1]), {1e-6, 1e-6}};
    };
    return Variant{kernels::sampling_threshold(), library ? kernels::sampling_schedule(caps) : random_schedule(caps),
                   make};
  };
}
Subject draw_token() {
  return [](const Caps& caps, bool library, Placement p) {
    Extents extents(2, p);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget / 64);
      return Case{draw_tensors(e[0], e[1]), exact()};
    };
    return Variant{kernels::draw_token(), library ? kernels::sampling_schedule(caps) : random_schedule(caps), make};
  };
}

Subject mark_seen() {
  return [](const Caps& caps, bool library, Placement p) {
    Extents extents(3, p);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget);
      HostTensor seen = random_integers(DType::u8, {e[0], e[1]}, 0, 1);
      return Case{{random_integers(DType::i32, {e[0], e[2]}, -1, e[1] + 1), seen}, exact()};
    };
    Schedule s = library ? kernels::rows_schedule(caps)
                         : Schedule{.tile = {{"row", one_of({1, 2, 3})}, {"i", one_of({1, 7, 64})}}};
    return Variant{kernels::mark_seen(), s, make};
  };
}

Subject adjust_logits() {
  return [](const Caps& caps, bool library, Placement p) {
    Extents extents(2, p);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget);
      return Case{{random_logits(e[0], e[1]), random_integers(DType::u8, e, 0, 1), random_rows(e[0]).real,
                   output(DType::f32, e)},
                  elementwise(2)};
    };
    return Variant{kernels::adjust_logits(), library ? kernels::sampling_schedule(caps) : random_schedule(caps), make};
  };
}

Subject log_softmax_statistics() {
  return [](const Caps& caps, bool library, Placement p) {
    int64_t columns = random_extent(caps.name.starts_with("virtual") ? 300 : 1100), fixed = random_int(1, 5);
    auto make = [=](int64_t) {
      int64_t rows = p == Placement::known ? fixed : random_int(1, 9);
      HostTensor x = random_tensor(DType::f32, {rows, columns}, one_of({1.0, 20.0, 200.0}));
      if (chance(4)) make_odd(x, chance(2) ? 1 : 0);
      return Case{{x, output(DType::f32, {rows}), output(DType::f32, {rows})}, softmax_of(columns)};
    };
    return Variant{kernels::log_softmax_statistics(), library ? kernels::rows_schedule(caps) : Schedule{}, make};
  };
}

Subject weigh_tokens() {
  return [](const Caps& caps, bool library, Placement p) {
    Extents extents(2, p);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget / 8);
      // The difference from the maximum was rounded to f32 before its exp.
      return Case{{random_logits(e[0], e[1]), random_rows(e[0]).real, output(DType::i32, e)}, {1e-5, 2}};
    };
    return Variant{kernels::weigh_tokens(), library ? kernels::sampling_schedule(caps) : random_schedule(caps), make};
  };
}

}  // namespace wavetile::checks
