// Kernels that look at whole rows. Their columns are compiled in, so each variant keeps to one number of them.
#include "checks/library.h"
#include "kernels/kernels.h"
#include "kernels/schedules.h"

namespace wavetile::checks {
namespace {

int64_t random_columns(const Caps& caps) {
  return random_extent(caps.name.starts_with("virtual") ? 300 : chance(10) ? 50257 : 1100);
}
int64_t random_rows(int64_t columns, int64_t budget) {
  return random_extent(std::clamp<int64_t>(budget / columns, 1, 300));
}

Schedule random_schedule(std::vector<std::string> axes) {
  Schedule s;
  s.tile = {{"row", one_of({1, 1, 2, 3, 4, 8})}};
  s.stages = one_of({1, 1, 2, 3});
  if (!chance(3)) s.order = random_walk(axes);
  if (chance(4)) s.packing["X"] = random_packing(static_cast<int>(axes.size()) + 1);
  return s;
}

// Rows as fixed as the columns where everything is compiled in.
std::function<int64_t(int64_t budget)> rows_for(int64_t columns, Placement p) {
  if (p != Placement::known) return [=](int64_t budget) { return random_rows(columns, budget); };
  int64_t rows = random_rows(columns, 2000);
  return [=](int64_t) { return rows; };
}

double square(double x) { return x * x; }

// The smallest sqrt(variance + eps) of the rows.
double least_deviation(const HostTensor& x, double eps) {
  int64_t rows = x.extents[0], columns = x.extents[1];
  double least = std::numeric_limits<double>::infinity();
  for (int64_t r = 0; r < rows; ++r) {
    double mean = 0, variance = 0;
    for (int64_t c = 0; c < columns; ++c) mean += x.get(r * columns + c) / static_cast<double>(columns);
    for (int64_t c = 0; c < columns; ++c)
      variance += square(x.get(r * columns + c) - mean) / static_cast<double>(columns);
    if (double d = std::sqrt(variance + eps); d < least) least = d;
  }
  return least;
}

Case layernorm_case(int64_t rows, int64_t columns, double eps, DType out) {
  HostTensor x = random_tensor(DType::f32, {rows, columns}), gain = random_tensor(DType::f32, {columns}),
             bias = random_tensor(DType::f32, {columns});
  double magnitude = 1;
  bool odd = chance(5);
  if (odd) {
    make_odd(x, chance(2) ? 1 : 0);
    make_odd(gain, 0);
  } else if (chance(2)) {  // a mean that drowns the spread
    magnitude = 1e4;
    for (int64_t i = 0; i < x.elements(); ++i) x.set(i, x.get(i) + magnitude);
  } else if (chance(4)) {
    for (int64_t c = 0; c < columns; ++c) x.set(c, 0);
  }
  Tolerance t = normalised(columns, magnitude, least_deviation(x, eps));
  return {{x, gain, bias, output(out, {rows, columns})}, t};
}

}  // namespace

Subject layernorm(DType out) {
  return [=](const Caps& caps, bool library, Placement p) {
    int64_t columns = random_columns(caps);
    auto rows = rows_for(columns, p);
    double eps = one_of({1e-5, 1e-2});
    auto make = [=](int64_t budget) { return layernorm_case(rows(budget), columns, eps, out); };
    return Variant{kernels::layernorm(eps, out), library ? kernels::rows_schedule(caps) : random_schedule({"row"}),
                   make};
  };
}

namespace {
HostTensor scores(std::vector<int64_t> extents, double scale) {
  HostTensor x = random_tensor(DType::f32, extents, scale);
  if (chance(4)) make_odd(x, chance(2) ? 1 : 0);
  return x;
}
}  // namespace

Subject softmax() {
  return [](const Caps& caps, bool library, Placement p) {
    int64_t columns = random_columns(caps);
    auto rows = rows_for(columns, p);
    auto make = [=](int64_t budget) {
      int64_t n = rows(budget);
      double scale = one_of({1.0, 20.0, 200.0});
      return Case{{scores({n, columns}, scale), output(DType::f32, {n, columns})},
                  softmax_of(columns, scale * 4 * unit_roundoff(DType::f32))};
    };
    return Variant{kernels::softmax(), library ? kernels::rows_schedule(caps) : random_schedule({"row"}), make};
  };
}

Subject causal_softmax() {
  return [](const Caps& caps, bool library, Placement p) {
    int64_t columns = random_columns(caps), batch = random_int(1, 3);
    auto rows = rows_for(columns * batch, p);
    auto make = [=](int64_t budget) {
      int64_t n = rows(budget), start = one_of<int64_t>({0, 0, random_int(0, columns), columns + 3});
      double scale = one_of({1.0, 20.0});
      return Case{{scores({batch, n, columns}, scale), tensor_of(DType::i32, {1}, {double(start)}),
                   output(DType::f32, {batch, n, columns})},
                  softmax_of(columns, scale * 4 * unit_roundoff(DType::f32))};
    };
    return Variant{kernels::causal_softmax(0.125),
                   library ? kernels::rows_schedule(caps) : random_schedule({"b", "row"}), make};
  };
}

Subject argmax() {
  return [](const Caps& caps, bool library, Placement p) {
    int64_t columns = random_columns(caps);
    auto rows = rows_for(columns, p);
    auto make = [=](int64_t budget) {
      int64_t n = rows(budget);
      HostTensor x = scores({n, columns}, 1);
      if (chance(2))  // ties: the first one counts
        for (int64_t i = 0; i < x.elements(); ++i) x.set(i, static_cast<double>(random_int(-2, 2)));
      if (chance(4))  // nothing but the least number
        for (int64_t c = 0; c < columns; ++c) x.set(c, -std::numeric_limits<double>::infinity());
      return Case{{x, output(DType::i32, {n})}, exact()};
    };
    Schedule s = library ? kernels::argmax_schedule(caps) : random_schedule({"row"});
    if (!library && chance(2)) s.share = "col";
    return Variant{kernels::argmax(), s, make};
  };
}

}  // namespace wavetile::checks
