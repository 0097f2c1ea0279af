// What may not change a result, not by one bit: how the grid is walked, the number of threads, other rows of the batch.
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "kernels/kernels.h"
#include "kernels/schedules.h"
#include "runtime/compiler.h"
#include "runtime/program.h"
#include "tests/kernels/cases.h"

namespace wavetile {
namespace {

using namespace kernels;

const Machine& cpu() { return machines()[0]; }
const Caps& cpu_caps() { return caps_of(*cpu().target); }

HostTensor result_of(const Kernel& k, const Schedule& s, std::vector<HostTensor> tensors, const Known& known = {}) {
  run_on(cpu(), k, s, tensors, {}, known);
  return tensors.back();
}
// Rows [first, first + n) of a dense tensor, along one dimension.
HostTensor rows_of(const HostTensor& t, int64_t first, int64_t n, size_t dim) {
  std::vector<int64_t> extents = t.extents;
  extents[dim] = n;
  HostTensor out(t.dtype, extents);
  int64_t inner = 1;
  for (size_t d = dim + 1; d < extents.size(); ++d) inner *= extents[d];
  for (int64_t i = 0; i < out.elements(); ++i) {
    int64_t outer = i / (n * inner), rest = i % (n * inner);
    out.set(i, t.get(outer * t.extents[dim] * inner + first * inner + rest));
  }
  return out;
}
HostTensor reshaped(const HostTensor& t, std::vector<int64_t> extents) {
  HostTensor out(t.dtype, std::move(extents));
  out.bytes = t.bytes;
  return out;
}
void expect_same_bits(const HostTensor& a, const HostTensor& b, const std::string& what) {
  ASSERT_EQ(a.bytes.size(), b.bytes.size()) << what;
  for (size_t i = 0; i < a.bytes.size(); ++i)
    ASSERT_EQ(a.bytes[i], b.bytes[i]) << what << ": byte " << i << "; WAVETILE_SEED=" << seed();
}

class Determinism : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Kernels, Determinism, ::testing::Values(DType::f32, DType::f16, DType::bf16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST_P(Determinism, ARowOfAProductAloneInABatchOrAsAVector) {
  DType w = GetParam(), inputs = input_type(cpu_caps(), w);
  constexpr int64_t m = 64, n = 150, k = 771;
  HostTensor a = random_tensor(inputs, {m, k}), b = random_tensor(w, {k, n}), bias = random_tensor(DType::f32, {n}),
             residual = random_tensor(DType::f32, {m, n});
  for (Activation f : {Activation::none, Activation::gelu}) {
    HostTensor all = result_of(linear(w, f, inputs), matmul_schedule(cpu_caps(), w, m, n, k),
                               {a, b, bias, output(DType::f32, {m, n})});
    for (int64_t r : {0, 1, 11, 12, 37, 63}) {
      HostTensor row = rows_of(a, r, 1, 0), expected = rows_of(all, r, 1, 0);
      HostTensor alone = result_of(linear(w, f, inputs), matmul_schedule(cpu_caps(), w, 1, n, k),
                                   {row, b, bias, output(DType::f32, {1, n})});
      expect_same_bits(alone, expected, "a batch of one row");
      HostTensor vector = result_of(gemv_linear(w, f, inputs), gemv_schedule(cpu_caps(), w),
                                    {reshaped(row, {k}), b, bias, output(DType::f32, {n})});
      expect_same_bits(reshaped(vector, {1, n}), expected, "gemv");
    }
  }
  HostTensor all = result_of(linear_residual(w, inputs), matmul_schedule(cpu_caps(), w, m, n, k),
                             {a, b, bias, residual, output(DType::f32, {m, n})});
  HostTensor vector = result_of(gemv_residual(w, inputs), gemv_schedule(cpu_caps(), w),
                                {reshaped(rows_of(a, 5, 1, 0), {k}), b, bias, reshaped(rows_of(residual, 5, 1, 0), {n}),
                                 output(DType::f32, {n})});
  expect_same_bits(reshaped(vector, {1, n}), rows_of(all, 5, 1, 0), "gemv_residual");
}

TEST_P(Determinism, ARowOfAttentionAloneOrInABatch) {
  DType cache = GetParam();
  constexpr int64_t heads = 2, rows = 19, keys = 150, start = 131, d = 64;
  HostTensor q = random_tensor(DType::f32, {heads, rows, d}), k = random_tensor(cache, {heads, keys, d}),
             v = random_tensor(cache, {heads, keys, d});
  Kernel kernel = attention(cache, 0.125);
  for (bool one_row : {false, true}) {
    Schedule s = attention_schedule(cpu_caps(), one_row);
    auto at = [](int64_t p) { return tensor_of(DType::i32, {1}, {static_cast<double>(p)}); };
    HostTensor all = result_of(kernel, s, {q, k, v, at(start), output(DType::f32, {heads, rows, d})});
    for (int64_t r : {0, 1, 3, 4, 17, 18}) {
      HostTensor alone =
          result_of(kernel, s, {rows_of(q, r, 1, 1), k, v, at(start + r), output(DType::f32, {heads, 1, d})});
      expect_same_bits(alone, rows_of(all, r, 1, 1), "row " + std::to_string(r));
    }
  }
}

TEST_P(Determinism, ASequenceAloneInABatchOrWithoutTheAxis) {
  DType cache = GetParam();
  constexpr int64_t sequences = 5, heads = 2, rows = 3, keys = 150, d = 64;
  HostTensor q = random_tensor(DType::f32, {sequences, heads, rows, d}),
             k = random_tensor(cache, {sequences, heads, keys, d}),
             v = random_tensor(cache, {sequences, heads, keys, d}),
             start = random_integers(DType::i32, {sequences}, 0, keys - rows);
  for (bool one_row : {false, true}) {
    Schedule s = attention_schedule(cpu_caps(), one_row, true);
    Kernel kernel = batched_attention(cache, 0.125);
    HostTensor all = result_of(kernel, s, {q, k, v, start, output(DType::f32, {sequences, heads, rows, d})});
    for (int64_t n = 0; n < sequences; ++n) {
      auto own = [&](const HostTensor& t) { return rows_of(t, n, 1, 0); };
      HostTensor alone =
          result_of(kernel, s, {own(q), own(k), own(v), own(start), output(DType::f32, {1, heads, rows, d})});
      expect_same_bits(alone, own(all), "sequence " + std::to_string(n));
      auto bare = [&](const HostTensor& t) {
        return reshaped(own(t), std::vector<int64_t>(t.extents.begin() + 1, t.extents.end()));
      };
      HostTensor without = result_of(attention(cache, 0.125), attention_schedule(cpu_caps(), one_row),
                                     {bare(q), bare(k), bare(v), own(start), output(DType::f32, {heads, rows, d})});
      expect_same_bits(reshaped(without, alone.extents), alone, "without the axis, sequence " + std::to_string(n));
    }
  }
}

TEST_P(Determinism, AnyWalkOverTheGrid) {
  DType w = GetParam(), inputs = input_type(cpu_caps(), w);
  std::vector<HostTensor> tensors = {random_tensor(inputs, {61, 37}), random_tensor(w, {37, 307}),
                                     random_tensor(DType::f32, {307}), output(DType::f32, {61, 307})};
  Schedule s = matmul_schedule(cpu_caps(), w, 61, 307, 37);
  s.order.clear();
  HostTensor plain = result_of(linear(w, Activation::none, inputs), s, tensors);
  for (int i = 0; i < 12; ++i) {
    s.order = random_walk({"m", "n"});
    expect_same_bits(result_of(linear(w, Activation::none, inputs), s, tensors), plain, "walk " + std::to_string(i));
  }
}

// A buffer of a device that holds a dense tensor.
struct OnDevice {
  BufferPtr buffer;
  TensorView view;
};
OnDevice on_device(Device& device, const HostTensor& t) {
  OnDevice d{device.allocate(t.bytes.size()), {}};
  device.write(*d.buffer, 0, t.bytes.data(), t.bytes.size());
  d.view = d.buffer->view(t.dtype, t.extents);
  return d;
}

// One step of a small model: layernorm, a product in place on its residual, split attention over a cache, argmax.
std::vector<std::vector<char>> run_program(int threads, DType w, const std::vector<HostTensor>& host) {
  DevicePtr device = Device::open("cpu", {threads, ""});
  EXPECT_EQ(device->threads(), threads);
  Compiler compiler(device);
  const Caps& caps = caps_of(device->target());
  std::vector<OnDevice> t;
  for (const HostTensor& h : host) t.push_back(on_device(*device, h));
  OnDevice &x = t[0], &gain = t[1], &bias = t[2], &normal = t[3], &weight = t[4], &k = t[5], &v = t[6], &start = t[7],
           &mixed = t[8], &best = t[9];
  int64_t m = x.view.extents[0], c = x.view.extents[1], heads = k.view.extents[0], d = k.view.extents[2];
  auto as_heads = [&](TensorView rows) { return TensorView{rows.dtype, rows.data, {heads, m, d}, {d, c, 1}}; };
  Program p(device);
  auto call = [&](const Kernel& kernel, const std::vector<TensorView>& tensors, Schedule s) {
    s.packing.clear();
    p.add(compiler.get(kernel, signature_of(tensors), s), tensors);
  };
  call(layernorm(), {x.view, gain.view, bias.view, normal.view}, rows_schedule(caps));
  call(linear_residual(w), {normal.view, weight.view, bias.view, x.view, x.view}, matmul_schedule(caps, w, m, c, c));
  call(append_to_cache(w), {as_heads(x.view), as_heads(normal.view), start.view, k.view, v.view},
       append_schedule(caps));
  call(attention(w, 0.25), {as_heads(x.view), k.view, v.view, start.view, as_heads(mixed.view)},
       attention_schedule(caps, true));
  call(argmax(), {mixed.view, best.view}, argmax_schedule(caps));
  for (int step = 0; step < 3; ++step) p.run();
  std::vector<std::vector<char>> out;
  for (size_t i = 0; i < t.size(); ++i) {
    out.emplace_back(host[i].bytes.size());
    device->read(out.back().data(), *t[i].buffer, 0, out.back().size());
  }
  return out;
}

TEST_P(Determinism, AnyNumberOfThreads) {
  DType w = GetParam();
  constexpr int64_t m = 23, heads = 4, d = 16, c = heads * d, keys = 90;
  std::vector<HostTensor> host = {random_tensor(DType::f32, {m, c}),  random_tensor(DType::f32, {c}),
                                  random_tensor(DType::f32, {c}),     output(DType::f32, {m, c}),
                                  random_tensor(w, {c, c}),           random_tensor(w, {heads, keys, d}),
                                  random_tensor(w, {heads, keys, d}), tensor_of(DType::i32, {1}, {40}),
                                  output(DType::f32, {m, c}),         output(DType::i32, {m})};
  auto one = run_program(1, w, host);
  for (int threads : {2, 3, 7})
    for (int again = 0; again < 3; ++again)
      EXPECT_EQ(run_program(threads, w, host), one) << threads << " threads; WAVETILE_SEED=" << seed();
}

}  // namespace
}  // namespace wavetile
