// Every product with weights, with the library's schedules and with random ones.
#include "checks/library.h"
#include "kernels/schedules.h"

namespace wavetile::checks {
namespace {

using kernels::Activation;

Kernel kernel_of(const Product& f, DType w, DType inputs, DType out) {
  using namespace kernels;
  if (f.batched) return batched_matmul(w);
  if (f.vector)
    return f.residual ? gemv_residual(w, inputs) : f.bias ? gemv_linear(w, f.activation, inputs, out) : gemv(w, inputs);
  return f.residual ? linear_residual(w, inputs) : f.bias ? linear(w, f.activation, inputs, out) : matmul(w, inputs);
}

Schedule library_schedule(const Product& f, DType w, DType inputs, const Caps& caps, Placement p) {
  if (f.vector) return kernels::gemv_schedule(caps, w);
  // Expectations on both sides of where the walk over the rows, or the tile, changes; large tiles want known strides.
  const long rows = one_of({1l, 64l, 1024l}), depth = one_of({1l, 771l, 3072l});
  const long columns = p == Placement::known ? one_of({64l, 1l << 16}) : 64;
  Schedule s = kernels::matmul_schedule(caps, w, rows, columns, depth, inputs);
  if (f.batched) {
    s.packing.clear();
    s.tile["b"] = 1;
  }
  return s;
}
Schedule random_schedule(const Product& f, const Caps& caps) {
  Schedule s;
  std::vector<std::string> axes{"n"};
  s.tile = {{"n", one_of({1, 3, 8, 16, 32, 48, 2 * caps.lanes})}, {"k", static_cast<int>(random_int(1, 8))}};
  if (!f.vector) {
    s.tile["m"] = one_of({1, 2, 3, 4, 5, 6, 8});
    axes.push_back("m");
  }
  if (f.batched) {
    s.tile["b"] = one_of({1, 2});
    axes.push_back("b");
  }
  int rank = f.batched ? 3 : 2;
  if (!chance(3)) s.packing["B"] = random_packing(rank);
  if (chance(4)) s.packing[f.vector ? "X" : "A"] = random_packing(f.vector ? 1 : rank);
  if (chance(2)) s.split["k"] = static_cast<int>(random_int(1, 5));
  if (chance(2)) s.share = std::string("k");
  s.stages = one_of({1, 1, 2, 3});
  if (!chance(3)) s.order = random_walk(axes);
  return s;
}

Case product_case(const Product& f, DType w, DType inputs, DType out, std::vector<int64_t> e) {
  if (chance(40)) e[static_cast<size_t>(random_int(0, 2))] = 0;
  if (f.vector) e[0] = 1;
  int64_t m = e[0], n = e[1], k = e[2], b = f.batched ? e[3] : 0;
  auto shape = [&](std::vector<int64_t> s) {
    if (f.batched) s.insert(s.begin(), b);
    return s;
  };
  auto row = [&](int64_t c) { return f.vector ? std::vector<int64_t>{c} : shape({m, c}); };
  Case x;
  x.tensors = {random_tensor(inputs, row(k)), random_tensor(w, shape({k, n}))};
  if (f.bias) x.tensors.push_back(random_tensor(DType::f32, {n}));
  if (f.residual) x.tensors.push_back(random_tensor(DType::f32, row(n)));
  if (chance(4))
    for (HostTensor& t : x.tensors) make_odd(t, chance(2) ? 1 : 0);
  x.tensors.push_back(output(out, row(n)));
  x.tolerance = summation(k + 2);
  if (f.activation == Activation::gelu) x.tolerance = gelu_of(x.tolerance.absolute + 4 * x.tolerance.relative);
  return x;
}

}  // namespace

Subject product(const Product& f, DType w) {
  return [=](const Caps& caps, bool library, Placement p) {
    DType inputs = library ? kernels::input_type(caps, w) : chance(4) ? DType::bf16 : DType::f32;
    DType out = f.bias && !f.residual && chance(3) ? DType::bf16 : DType::f32;
    if (f.batched) inputs = DType::f32;
    Extents extents(f.batched ? 4 : 3, p);
    auto make = [=](int64_t budget) mutable { return product_case(f, w, inputs, out, extents(budget)); };
    return Variant{kernel_of(f, w, inputs, out),
                   library ? library_schedule(f, w, inputs, caps, p) : random_schedule(f, caps), make};
  };
}

}  // namespace wavetile::checks
