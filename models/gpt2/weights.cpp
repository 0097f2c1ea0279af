#include "models/gpt2/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/schedules.h"
#include "runtime/thread_pool.h"

namespace wavetile {
namespace {

// How many bytes of a file a thread reads before their pages are given back.
constexpr int64_t kReleaseBytes = 4 << 20;

// Whether all of `count` values have an exponent below the largest. A lane of 16 or 32 bits in a word of 64 carries
// into its top bit exactly where the exponent is all ones.
bool all_finite(const void* values, int64_t count, DType dtype) {
  const uint64_t exponent = dtype == DType::f32    ? 0x7f800000'7f800000
                            : dtype == DType::bf16 ? 0x7f807f80'7f807f80
                                                   : 0x7c007c00'7c007c00;
  const uint64_t one = dtype == DType::f32    ? 0x00800000'00800000
                       : dtype == DType::bf16 ? 0x00800080'00800080
                                              : 0x04000400'04000400;
  const uint64_t top = dtype == DType::f32 ? 0x80000000'80000000 : 0x80008000'80008000;
  const auto* bytes = static_cast<const char*>(values);
  const int64_t size = count * size_of(dtype);
  uint64_t word = 0, sum = 0;
  int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    std::memcpy(&word, bytes + i, 8);
    sum |= (word & exponent) + one;
  }
  if (i < size) {
    word = 0;
    std::memcpy(&word, bytes + i, static_cast<size_t>(size - i));
    sum |= (word & exponent) + one;
  }
  return (sum & top) == 0;
}

float element(const StoredTensor& t, int64_t index) {
  const std::byte* from = t.data + index * size_of(t.dtype);
  float x = 0;
  uint16_t h = 0;
  if (t.dtype == DType::f32) {
    std::memcpy(&x, from, sizeof x);
    return x;
  }
  std::memcpy(&h, from, sizeof h);
  return t.dtype == DType::bf16 ? from_bf16(h) : from_f16(h);
}

// `first` and `stride` are those of the run in which convert() met a value that is not finite.
[[noreturn]] void throw_bad_weight(const StoredTensor& t, int64_t first, int64_t stride, int64_t count, DType dtype) {
  int64_t at = first;
  for (int64_t i = 0; i < count; ++i) {
    at = first + i * stride;
    const float x = element(t, at);
    if (!std::isfinite(x))
      throw BadWeights(
          fmt::format("{}: tensor '{}': element {} is {}: weights that are not numbers (NaN or infinite) "
                      "cannot be used; get another copy of the model",
                      t.file, t.name, t.place(at), x));
    if (!std::isfinite(dtype == DType::f16 ? from_f16(to_f16(x)) : from_bf16(to_bf16(x)))) break;
  }
  throw BadWeights(fmt::format("{}: tensor '{}': element {} is {}, which {} cannot hold; use --dtype f32", t.file,
                               t.name, t.place(at), element(t, at), name_of(dtype)));
}

// `count` elements of the source, `stride` apart, to a dense run of elements.
void convert(const StoredTensor& t, int64_t first, void* to, int64_t stride, int64_t count, DType dtype) {
  auto size = static_cast<int64_t>(size_of(t.dtype));
  const char* from = reinterpret_cast<const char*>(t.data) + first * size;
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
  if (t.dtype == dtype && stride == 1) {
    std::memcpy(to, from, static_cast<size_t>(count * size));
  } else if (t.dtype == DType::f32) {
    each([](const char* p) {
      float x;
      std::memcpy(&x, p, 4);
      return x;
    });
  } else if (t.dtype == DType::bf16) {
    each([&](const char* p) { return from_bf16(load16(p)); });
  } else {
    each([&](const char* p) { return from_f16(load16(p)); });
  }
  if (!all_finite(to, count, dtype)) throw_bad_weight(t, first, stride, count, dtype);
}

// Places tensors one after the other in a buffer that does not exist yet: run once to measure, once to fill. Where the
// host cannot reach the buffer, a tensor is laid out in the host's memory and then written.
class Layouter {
 public:
  Layouter(Device& device, Buffer* buffer, DType dtype, const Packing& packing, ThreadPool& pool,
           const std::function<void(double)>& progress)
      : device_(device), buffer_(buffer), dtype_(dtype), packing_(packing), pool_(pool), progress_(progress) {}

  size_t bytes() const { return used_; }

  /// A matrix B[k,n] in the packing of the weights; `of_columns`: the tensor is [n,k].
  TensorView matrix(const StoredTensor& t, bool of_columns) {
    int64_t k = t.shape[of_columns ? 1 : 0], n = t.shape[of_columns ? 0 : 1];
    TensorView v{dtype_, nullptr, {k, n}, packed_strides({k, n}, packing_)};
    const auto bytes = static_cast<size_t>(packed_elements(v.extents, packing_) * size_of(dtype_));
    v.data = take(bytes);
    const bool columns_are_dense = of_columns != t.transposed;
    put(v, bytes, [&](const TensorView& to) { fill(t, to, columns_are_dense ? 1 : n, columns_are_dense ? k : 1); });
    return v;
  }
  TensorView rows(const StoredTensor& t) { return dense_copy(t, dtype_); }
  TensorView vector(const StoredTensor& t) { return dense_copy(t, DType::f32); }

 private:
  void* take(size_t bytes) {
    size_t at = used_;
    used_ += (bytes + 63) / 64 * 64;
    return buffer_ ? static_cast<char*>(buffer_->address()) + at : nullptr;
  }

  void finish(const StoredTensor& t) {
    release_pages(t.bytes());
    if (progress_) progress_(static_cast<double>(used_) / static_cast<double>(buffer_->bytes()));
  }

  TensorView dense_copy(const StoredTensor& t, DType dtype) {
    TensorView v = dense<void>(dtype, nullptr, t.shape);
    const auto bytes = static_cast<size_t>(t.size() * size_of(dtype));
    v.data = take(bytes);
    put(v, bytes, [&](const TensorView& to) { convert(t, 0, to.data, 1, t.size(), dtype); });
    if (v.data) finish(t);
    return v;
  }

  template <class F>
  void put(const TensorView& v, size_t bytes, F&& lay_out) {
    if (!v.data) return;
    if (device_.host_memory()) return lay_out(v);
    std::vector<char> host(bytes);  // with the zeros that pad a packed tensor
    TensorView to = v;
    to.data = host.data();
    lay_out(to);
    device_.write(*buffer_, static_cast<size_t>(static_cast<char*>(v.data) - static_cast<char*>(buffer_->address())),
                  host.data(), bytes);
  }

  // The source's element (k, n) lies at k * by_k + n * by_n. Runs along n are converted in one go, and then dealt out
  // where a packing puts steps of k side by side.
  void fill(const StoredTensor& t, const TensorView& v, int64_t by_k, int64_t by_n) {
    int64_t k = v.extents[0], n = v.extents[1], panel = n, pair = 1, size = size_of(dtype_);
    for (const auto& b : packing_.blocks) (b.dim == 1 ? panel : pair) = b.size;
    const int64_t panels = (n + panel - 1) / panel;
    auto fill_panel = [&](int64_t p, std::vector<uint16_t>& run) {
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
    };
    // Where panels are runs of the file, their pages go before the tensor is done: an embedding table is large.
    const bool runs = by_k == 1;
    const int64_t column = k * size_of(t.dtype);
    const int64_t grain = runs ? std::clamp<int64_t>(kReleaseBytes / (panel * column), 1, (panels + 7) / 8) : 1;
    pool_.parallel_for(panels, grain, [&](int64_t begin, int64_t end, int) {
      std::vector<uint16_t> run(static_cast<size_t>(panel) * 2);
      for (int64_t p = begin; p < end; ++p) fill_panel(p, run);
      if (runs) release_pages({t.data + begin * panel * column, t.data + std::min(end * panel, n) * column});
    });
    finish(t);
  }

  Device& device_;
  Buffer* buffer_;
  DType dtype_;
  Packing packing_;
  ThreadPool& pool_;
  const std::function<void(double)>& progress_;
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

Weights load_weights(const Checkpoint& checkpoint, Device& device, DType dtype,
                     const std::function<void(double)>& progress) {
  ThreadPool pool(device.threads());
  Packing packing = kernels::weight_packing(caps_of(device.target()), dtype);
  Weights w;
  w.dtype = dtype;
  Layouter measure(device, nullptr, dtype, packing, pool, progress);
  lay_out(checkpoint, measure, w);
  w.buffer = device.allocate(measure.bytes());
  Layouter place(device, w.buffer.get(), dtype, packing, pool, progress);
  lay_out(checkpoint, place, w);
  return w;
}

}  // namespace wavetile
