// Kernels that compute each element on its own, and those that only move elements.
#include "checks/library.h"
#include "kernels/kernels.h"
#include "kernels/schedules.h"

namespace wavetile::checks {
namespace {

Schedule random_tiles(const Caps& caps, const std::vector<std::string>& axes) {
  Schedule s;
  for (const std::string& a : axes) s.tile[a] = one_of({1, 2, 3, 4, 5, 8});
  s.tile[axes[static_cast<size_t>(random_int(0, static_cast<int64_t>(axes.size()) - 1))]] =
      one_of({7, 32, 50, caps.lanes, 4 * caps.lanes});
  if (!chance(3)) s.order = random_walk(axes);
  return s;
}

HostTensor any_values(DType t, const std::vector<int64_t>& e, double scale) {
  return random_tensor(t, e, scale, chance(2) ? Values::edges : Values::normal);
}

}  // namespace

Subject gelu() {
  return [](const Caps& caps, bool library, Placement p) {
    Extents extents(2, p);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget);
      return Case{{any_values(DType::f32, e, one_of({1.0, 10.0})), output(DType::f32, e)}, gelu_of(0)};
    };
    return Variant{kernels::gelu(), library ? kernels::rows_schedule(caps) : random_tiles(caps, {"row", "col"}), make};
  };
}

Subject add() {
  return [](const Caps& caps, bool library, Placement p) {
    Extents extents(2, p);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget);
      return Case{{any_values(DType::f32, e, 10), any_values(DType::f32, e, 10), output(DType::f32, e)}, exact()};
    };
    return Variant{kernels::add(), library ? kernels::rows_schedule(caps) : random_tiles(caps, {"row", "col"}), make};
  };
}

Subject copy(DType from, DType to) {
  return [=](const Caps& caps, bool library, Placement p) {
    Extents extents(2, p);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget);
      return Case{{any_values(from, e, one_of({1.0, 1e5})), output(to, e)}, exact()};
    };
    Schedule s = library ? kernels::rows_schedule(caps) : random_tiles(caps, {"i", "j"});
    for (const char* t : {"X", "Y"})
      if (!library && chance(3)) s.packing[t] = random_packing(2);
    return Variant{kernels::copy(from, to), s, make};
  };
}

Subject permute() {
  return [](const Caps& caps, bool library, Placement p) {
    Extents extents(3, p);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget);
      HostTensor y = output(DType::f32, e);
      // Any order of dimensions, without gaps, as the output of a transpose.
      if (p == Placement::known)
        y = strided(
            y, chance(2) ? std::vector<int64_t>{1, e[0], e[0] * e[1]} : std::vector<int64_t>{e[2], e[0] * e[2], 1});
      return Case{{any_values(DType::f32, e, 10), y}, exact()};
    };
    return Variant{kernels::permute(), library ? kernels::rows_schedule(caps) : random_tiles(caps, {"a", "b", "c"}),
                   make};
  };
}

// Tokens outside the vocabulary read zero.
Subject embedding(DType w) {
  return [=](const Caps& caps, bool library, Placement p) {
    Extents extents(3, p);
    int64_t fixed_rows = random_int(1, 9), fixed_positions = random_int(1, 20);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget);
      bool fixed = p == Placement::known;
      int64_t c = e[0], vocabulary = e[1], rows = fixed ? fixed_rows : std::min<int64_t>(e[2], 40),
              positions = fixed ? fixed_positions : random_int(1, 20);
      HostTensor ids = random_integers(DType::i32, {rows}, 0, vocabulary - 1);
      if (chance(2))
        ids.set(random_int(0, rows - 1),
                static_cast<double>(one_of<int64_t>({vocabulary, -1, INT32_MIN, INT32_MAX, vocabulary + 7})));
      int64_t start = one_of<int64_t>({0, random_int(0, positions), positions + 2});
      HostTensor tokens = random_tensor(w, {c, vocabulary}), place = random_tensor(w, {positions, c});
      if (chance(4)) {
        make_odd(tokens, 3);
        make_odd(place, 1);
      }
      return Case{
          {tokens, place, ids, tensor_of(DType::i32, {1}, {static_cast<double>(start)}), output(DType::f32, {rows, c})},
          exact()};
    };
    Schedule s = library ? kernels::embedding_schedule(caps, w) : random_tiles(caps, {"row", "col"});
    if (!library && chance(2)) s.packing["Tokens"] = random_packing(2);
    return Variant{kernels::embedding(w), s, make};
  };
}

Subject batched_embedding() {
  return [](const Caps& caps, bool library, Placement p) {
    DType w = one_of({DType::f32, DType::f16, DType::bf16});
    Extents extents(4, p);
    int64_t fixed_positions = random_int(1, 20);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget);
      int64_t positions = p == Placement::known ? fixed_positions : random_int(1, 20);
      return Case{{random_tensor(w, {e[0], e[1]}), random_tensor(w, {positions, e[0]}),
                   random_integers(DType::i32, {e[2], e[3]}, 0, e[1] - 1),
                   random_integers(DType::i32, {e[2]}, 0, positions + 1), output(DType::f32, {e[2], e[3], e[0]})},
                  exact()};
    };
    Schedule s = library ? kernels::embedding_schedule(caps, w) : random_tiles(caps, {"row", "col"});
    return Variant{kernels::batched_embedding(w), s, make};
  };
}

Subject gather() {
  return [](const Caps& caps, bool library, Placement p) {
    Extents extents(3, p);
    auto make = [=](int64_t budget) mutable {
      auto e = extents(budget);
      HostTensor ids = random_integers(DType::i32, {e[2]}, 0, e[0] - 1);
      if (chance(2)) ids.set(random_int(0, e[2] - 1), static_cast<double>(one_of<int64_t>({e[0], -1, INT32_MIN})));
      return Case{{any_values(DType::f32, {e[0], e[1]}, 10), ids, output(DType::f32, {e[2], e[1]})}, exact()};
    };
    return Variant{kernels::gather(), library ? kernels::rows_schedule(caps) : random_tiles(caps, {"row", "col"}),
                   make};
  };
}

}  // namespace wavetile::checks
