// Adds two vectors of your own: the smallest whole program.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "dsl/dsl.h"
#include "runtime/compiler.h"
#include "runtime/program.h"

using namespace wavetile;

int main(int argc, char** argv) try {
  const int64_t n = argc > 1 ? std::atoll(argv[1]) : 1000003;

  Kernel add("vector_add", {"A", "B", "C"}, [](Tensor<f32> A, Tensor<f32> B, Tensor<f32> C) {
    Range i = parallel("i", A.dim(0));
    C(i) = A(i) + B(i);
  });

  std::vector<float> a(static_cast<size_t>(n)), b(a.size()), c(a.size());
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i), b[i] = 0.5f;

  DevicePtr device = Device::open("cpu");
  const size_t bytes = a.size() * sizeof(float);
  BufferPtr A = device->allocate(bytes), B = device->allocate(bytes), C = device->allocate(bytes);
  device->write(*A, 0, a.data(), bytes);
  device->write(*B, 0, b.data(), bytes);

  std::vector<TensorView> tensors = {A->view(DType::f32, {n}), B->view(DType::f32, {n}), C->view(DType::f32, {n})};
  Compiler compiler(device);
  Program program(device);
  program.add(compiler.get(add, signature_of(tensors), Schedule{}), tensors);
  program.run();

  device->read(c.data(), *C, 0, bytes);
  for (size_t i = 0; i < c.size(); ++i)
    if (c[i] != a[i] + b[i]) {
      std::fprintf(stderr, "wrong at %zu: %g\n", i, static_cast<double>(c[i]));
      return 1;
    }
  std::printf("%lld sums on %s, all as expected; the last one is %g\n", static_cast<long long>(n),
              device->name().c_str(), static_cast<double>(c.back()));
} catch (const Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
