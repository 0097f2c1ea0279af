#include "models/gpt2/weights.h"

#include <cstring>
#include <functional>

#include "kernels/schedules.h"
#include "runtime/thread_pool.h"

namespace wavetile {
namespace {

// Places tensors one after the other in a buffer that does not exist yet: run once to measure, once to fill.
class Layouter {
 public:
  Layouter(Buffer* buffer, DType dtype, const Packing& packing, ThreadPool& pool)
      : buffer_(buffer), dtype_(dtype), packing_(packing), pool_(pool) {}

  size_t bytes() const { return used_; }

  /// A matrix B[k,n] in the packing of the weights; `transposed`: the source is stored [n,k].
  TensorView matrix(const StoredTensor& t, bool transposed) {
    int64_t k = t.shape[transposed ? 1 : 0], n = t.shape[transposed ? 0 : 1];
    TensorView v{dtype_, nullptr, {k, n}, packed_strides({k, n}, packing_)};
    v.data = take(static_cast<size_t>(packed_elements(v.extents, packing_) * size_of(dtype_)));
    if (v.data) fill(t, v, transposed ? 1 : n, transposed ? k : 1);
    return v;
  }
  TensorView rows(const StoredTensor& t) {
    TensorView v = dense<void>(dtype_, nullptr, t.shape);
    v.data = take(static_cast<size_t>(t.size() * size_of(dtype_)));
    if (v.data) convert(t, 0, v.data, 1, t.size(), dtype_);
    return v;
  }
  TensorView vector(const StoredTensor& t) {
    TensorView v = dense<void>(DType::f32, nullptr, t.shape);
    v.data = take(static_cast<size_t>(t.size()) * sizeof(float));
    if (v.data) convert(t, 0, v.data, 1, t.size(), DType::f32);
    return v;
  }

 private:
  void* take(size_t bytes) {
    size_t at = used_;
    used_ += (bytes + 63) / 64 * 64;
    return buffer_ ? static_cast<char*>(buffer_->address()) + at : nullptr;
  }

  // `count` elements of the source, `stride` apart, to a dense run of elements.
  static void convert(const StoredTensor& t, int64_t first, void* to, int64_t stride, int64_t count, DType dtype) {
    auto size = static_cast<int64_t>(size_of(t.dtype));
    const char* from = reinterpret_cast<const char*>(t.data) + first * size;
    if (t.dtype == dtype && stride == 1) {
      std::memcpy(to, from, static_cast<size_t>(count * size));
      return;
    }
    auto each = [&](auto read) {
      auto all = [&](auto write) {
        for (int64_t i = 0; i < count; ++i) write(i, read(from + i * stride * size));
      };
      switch (dtype) {
        case DType::f32:
          return all([&](int64_t i, float x) { static_cast<float*>(to)[i] = x; });
        case DType::bf16:
          return all([&](int64_t i, float x) { static_cast<uint16_t*>(to)[i] = to_bf16(x); });
        default:
          return all([&](int64_t i, float x) { static_cast<uint16_t*>(to)[i] = to_f16(x); });
      }
    };
    auto load16 = [](const char* p) {
      uint16_t h;
      std::memcpy(&h, p, 2);
      return h;
    };
    switch (t.dtype) {
      case DType::f32:
        return each([](const char* p) {
          float x;
          std::memcpy(&x, p, 4);
          return x;
        });
      case DType::bf16:
        return each([&](const char* p) { return from_bf16(load16(p)); });
      default:
        return each([&](const char* p) { return from_f16(load16(p)); });
    }
  }

  // The source's element (k, n) lies at k * by_k + n * by_n. Runs along n are converted in one go, and then dealt out
  // where a packing puts steps of k side by side.
  void fill(const StoredTensor& t, const TensorView& v, int64_t by_k, int64_t by_n) {
    int64_t k = v.extents[0], n = v.extents[1], panel = n, pair = 1, size = size_of(dtype_);
    for (const auto& b : packing_.blocks) (b.dim == 1 ? panel : pair) = b.size;
    pool_.parallel_for((n + panel - 1) / panel, 1, [&](int64_t begin, int64_t end, int) {
      std::vector<uint16_t> run(static_cast<size_t>(panel) * 2);
      for (int64_t p = begin; p < end; ++p)
        for (int64_t i = 0; i < k; ++i) {
          int64_t columns = std::min(panel, n - p * panel), first = i * by_k + p * panel * by_n;
          char* to = static_cast<char*>(v.data) +
                     (packed_place(v.extents, v.strides, packing_, 1, p * panel) + i / pair * v.strides[0]) * size;
          if (pair == 1) {
            convert(t, first, to, by_n, columns, dtype_);
            continue;
          }
          convert(t, first, run.data(), by_n, columns, dtype_);  // only 16-bit types are paired
          for (int64_t c = 0; c < columns; ++c)
            reinterpret_cast<uint16_t*>(to)[c * pair + i % pair] = run[static_cast<size_t>(c)];
        }
    });
  }

  Buffer* buffer_;
  DType dtype_;
  Packing packing_;
  ThreadPool& pool_;
  size_t used_ = 0;
};

void lay_out(const Checkpoint& c, Layouter& l, Weights& w) {
  auto norm = [&](const WeightAndBias& p) { return NormWeights{l.vector(p.weight), l.vector(p.bias)}; };
  auto linear = [&](const WeightAndBias& p) { return LinearWeights{l.matrix(p.weight, false), l.vector(p.bias)}; };
  w.positions = l.rows(c.wpe());
  size_t table = l.bytes();
  if (!c.config().tied_head) w.tokens = l.matrix(c.wte(), true);
  size_t once = l.bytes();
  w.layers.clear();
  for (int i = 0; i < c.config().num_layers; ++i) {
    const LayerTensors& t = c.layer(i);
    w.layers.push_back({norm(t.ln_1), norm(t.ln_2), linear(t.attn_c_attn), linear(t.attn_c_proj), linear(t.mlp_c_fc),
                        linear(t.mlp_c_proj)});
  }
  w.ln_f = norm(c.ln_f());
  w.head = l.matrix(c.lm_head(), true);
  if (c.config().tied_head) w.tokens = w.head;
  w.bytes = l.bytes();
  w.bytes_a_token = w.bytes - (c.config().tied_head ? table : once);
}

}  // namespace

Weights load_weights(const Checkpoint& checkpoint, Device& device, DType dtype) {
  ThreadPool pool(device.threads());
  Packing packing = kernels::weight_packing(caps_of(device.target()), dtype);
  Weights w;
  w.dtype = dtype;
  Layouter measure(nullptr, dtype, packing, pool);
  lay_out(checkpoint, measure, w);
  w.buffer = device.allocate(measure.bytes());
  Layouter place(w.buffer.get(), dtype, packing, pool);
  lay_out(checkpoint, place, w);
  return w;
}

}  // namespace wavetile
