// Softmax over the rows of your own matrix, its length fixed when the kernel is compiled, the number of rows not.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "dsl/dsl.h"
#include "runtime/compiler.h"
#include "runtime/program.h"

using namespace wavetile;

int main() try {
  const int64_t columns = 771;

  Kernel softmax("softmax", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y) {
    Range row = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
    Tile x = X(row, c);
    Tile e = exp(x - max(x, c));
    Y(row, c) = e / sum(e, c);
  });

  DevicePtr device = Device::open("cpu");
  Compiler compiler(device);
  for (int64_t rows : {1, 7, 100}) {
    std::vector<float> x(static_cast<size_t>(rows * columns)), y(x.size());
    for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i) * 0.37f) * 4;

    const size_t bytes = x.size() * sizeof(float);
    BufferPtr X = device->allocate(bytes), Y = device->allocate(bytes);
    device->write(*X, 0, x.data(), bytes);
    std::vector<TensorView> tensors = {X->view(DType::f32, {rows, columns}), Y->view(DType::f32, {rows, columns})};

    Signature any_rows = signature_of(tensors);
    for (TensorSpec& t : any_rows) t.extents[0].reset();  // one kernel for all three
    Program program(device);
    program.add(compiler.get(softmax, any_rows, Schedule{}), tensors);
    program.run();
    device->read(y.data(), *Y, 0, bytes);

    double worst = 0;
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (int64_t c = 0; c < columns; ++c) sum += static_cast<double>(y[static_cast<size_t>(r * columns + c)]);
      worst = std::max(worst, std::abs(sum - 1));
    }
    std::printf("%3lld rows of %lld: row sums differ from 1 by %.1e at most; kernels compiled: %zu\n",
                static_cast<long long>(rows), static_cast<long long>(columns), worst, compiler.compiled());
    if (!(worst < 1e-5)) return 1;
  }
} catch (const Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
