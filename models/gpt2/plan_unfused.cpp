// The plan to compare with and to learn from: one kernel an op, every intermediate result in memory.
#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"
#include "kernels/schedules.h"
#include "models/gpt2/plan.h"
#include "models/gpt2/views.h"

namespace wavetile {
namespace {

class UnfusedPlan : public Plan {
 public:
  UnfusedPlan(const Config& config, const Weights& weights, const Caps& caps)
      : config_(config), weights_(weights), caps_(caps), dtype_(weights.dtype) {}

  PlanKind kind() const override { return PlanKind::unfused; }

  Cache cache_layout(int sequences, int positions) const override {
    const TensorView plain =
        dense<void>(DType::f32, nullptr, {sequences, config_.num_heads, positions, config_.head_size()});
    return {plain, plain};
  }

  size_t scratch_bytes(int rows, int sequences) const override {
    return static_cast<size_t>(layout(rows, sequences).total) * 4;
  }
  void set_scratch(BufferPtr scratch, int rows, int sequences) override {
    scratch_ = std::move(scratch);
    max_rows_ = rows;
    places_ = layout(rows, sequences);
  }

  void record(Recorder& to, const Pass& p) const override {
    // Sequences stand at different positions, and a kernel of one op knows only one: they take turns.
    for (int s = 0; s < p.sequences; ++s) record_one(to, p, s);
  }

  void record_logits(Recorder& to, int first, int count, const TensorView& out) const override {
    logits(to, rows_of(block(places_.x, max_rows_, config_.channels), first, count),
           block(places_.normal, count, config_.channels), out);
  }

  void record_greedy(Recorder& to, const TensorView& logits, const TensorView& next) const override {
    const TensorView probabilities = block(places_.probabilities, logits.extents[0], config_.vocab_size);
    to.call(softmax_, {logits, probabilities}, rows_, "softmax of logits");
    to.call(argmax_, {logits, next}, kernels::argmax_schedule(caps_),
            "argmax");  // of what rounding to probabilities could make equal
  }

 private:
  struct Places {  // in f32 elements
    int64_t x = 0, normal = 0, qkv = 0, heads = 0, transposed = 0, scores = 0, weighed = 0, hidden = 0, active = 0,
            probabilities = 0, total = 0;
  };
  Places layout(int rows, int sequences) const {
    const int64_t R = rows, C = config_.channels, T = config_.max_seq_len, H = config_.num_heads;
    Places p;
    auto take = [&](int64_t n) {
      const int64_t at = p.total;
      p.total += (n + 15) / 16 * 16;
      return at;
    };
    p.x = take(R * C);
    p.normal = take(R * C);
    p.qkv = take(R * 3 * C);
    p.heads = take(R * 3 * C);
    p.transposed = take(T * C);
    p.scores = take(H * R * T);
    p.weighed = take(H * R * T);
    p.hidden = take(R * 4 * C);
    p.active = take(R * 4 * C);
    p.probabilities = take(int64_t{sequences} * config_.vocab_size);
    return p;
  }
  TensorView block(int64_t at, int64_t rows, int64_t columns) const {
    return scratch_->view(DType::f32, {rows, columns}, at);
  }
  TensorView block(int64_t at, int64_t a, int64_t b, int64_t c) const {
    return scratch_->view(DType::f32, {a, b, c}, at);
  }

  void record_one(Recorder& to, const Pass& p, int sequence) const {
    const int64_t C = config_.channels, H = config_.num_heads, D = config_.head_size(), M = p.rows, T = p.keys;
    const int rows = p.any_rows ? 0 : -1, second = p.any_rows ? 1 : -1;
    const TensorView start = rows_of(p.start, sequence, 1);
    const Operand x(block(places_.x, M, C), rows), normal(block(places_.normal, M, C), rows);
    const Operand qkv(block(places_.qkv, M, 3 * C), rows), hidden(block(places_.hidden, M, 4 * C), rows);
    const Operand active(block(places_.active, M, 4 * C), rows);
    const Operand heads(block(places_.heads, 3 * H, M, D), second);
    auto part = [&](int64_t which) { return Operand(rows_of(heads.view, which * H, H), second); };

    to.call(embedding_, {weights_.tokens, weights_.positions, Operand(rows_of(p.ids, sequence * M, M), rows), start, x},
            kernels::embedding_schedule(caps_, dtype_), "embedding",
            Work{bytes_of(x.view) * (1 + 0.5 * size_of(dtype_))});
    for (size_t l = 0; l < weights_.layers.size(); ++l) {
      const LayerWeights& w = weights_.layers[l];
      to.call(layernorm_, {x, w.ln_1.gain, w.ln_1.bias, normal}, rows_, "layernorm");
      linear(to, normal, w.qkv, qkv, "qkv");
      to.call(permute_, {Operand(as_heads(qkv.view, 0, 3 * H, D), second), heads}, rows_, "split heads");
      TensorView k = part(1).view, v = part(2).view;
      if (!p.caches.empty()) {
        k = slice(p.caches[l].k, sequence);
        v = slice(p.caches[l].v, sequence);
        to.call(append_, {part(1), part(2), start, k, v}, rows_, "append to cache",
                Work{static_cast<double>(16 * M * C)});
      }
      k.extents[1] = v.extents[1] = T;
      const TensorView transposed = block(places_.transposed, H, D, T);
      const Operand scores(block(places_.scores, H, M, T), second), weighed(block(places_.weighed, H, M, T), second);
      to.call(permute_,
              {TensorView{k.dtype, k.data, {H, D, T}, {k.strides[0], k.strides[2], k.strides[1]}}, transposed}, rows_,
              "transpose K");
      batched(to, part(0), transposed, scores, "Q times K");
      to.call(causal_softmax_, {scores, start, weighed}, rows_, "causal softmax");
      batched(to, weighed, v, part(0), "weights times V");  // Q is not needed any more
      to.call(permute_, {part(0), Operand(as_heads(normal.view, 0, H, D), second)}, rows_, "merge heads");
      linear(to, normal, w.projection, Operand(block(places_.qkv, M, C), rows), "projection");
      to.call(add_, {x, Operand(block(places_.qkv, M, C), rows), x}, rows_, "residual");
      to.call(layernorm_, {x, w.ln_2.gain, w.ln_2.bias, normal}, rows_, "layernorm");
      linear(to, normal, w.fc, hidden, "fc");
      to.call(gelu_, {hidden, active}, rows_, "gelu");
      linear(to, active, w.fc_projection, normal, "fc projection");
      to.call(add_, {x, normal, x}, rows_, "residual");
    }
    TensorView last = rows_of(x.view, M - 1, 1);
    if (p.last.data) {
      last = block(places_.qkv, 1, C);
      to.call(gather_, {x, rows_of(p.last, sequence, 1), last}, rows_, "last row", Work{8.0 * static_cast<double>(C)});
    }
    logits(to, last, block(places_.normal, 1, C), rows_of(p.logits, sequence, 1));
  }

  void linear(Recorder& to, const Operand& in, const LinearWeights& w, const Operand& out,
              const std::string& label) const {
    const int64_t rows = in.view.extents[0], depth = w.weight.extents[0], columns = w.weight.extents[1];
    const Work work{bytes_of(w.weight), 2.0 * static_cast<double>(rows * depth * columns)};
    to.call(linear_, {in, w.weight, w.bias, out}, kernels::matmul_schedule(caps_, dtype_, rows, columns, depth), label,
            work);
  }
  void batched(Recorder& to, const Operand& a, const TensorView& b, const Operand& c, const std::string& label) const {
    const int64_t rows = a.view.extents[1], depth = b.extents[1], columns = b.extents[2];
    Schedule s = kernels::matmul_schedule(caps_, DType::f32, rows, columns, depth);
    s.packing.clear();  // b is an activation, in plain strides
    s.order.clear();
    to.call(batched_matmul_, {a, b, c}, s, label,
            {bytes_of(a.view) + bytes_of(b) + bytes_of(c.view),
             2.0 * static_cast<double>(b.extents[0] * rows * depth * columns)});
  }
  void logits(Recorder& to, const TensorView& x, const TensorView& normal, const TensorView& out) const {
    const Work work{bytes_of(weights_.head),
                    2.0 * static_cast<double>(out.extents[0] * config_.channels * config_.vocab_size)};
    to.call(layernorm_, {x, weights_.ln_f.gain, weights_.ln_f.bias, normal}, rows_, "final layernorm");
    to.call(matmul_, {normal, weights_.head, out},
            kernels::matmul_schedule(caps_, dtype_, out.extents[0], config_.vocab_size, config_.channels), "logits",
            work);
  }

  const Config& config_;
  const Weights& weights_;
  const Caps& caps_;
  DType dtype_;
  Schedule rows_ = kernels::rows_schedule(caps_);
  BufferPtr scratch_;
  Places places_;
  int64_t max_rows_ = 0;

  Kernel embedding_ = kernels::embedding(dtype_), layernorm_ = kernels::layernorm(config_.layernorm_eps);
  Kernel linear_ = kernels::linear(dtype_), matmul_ = kernels::matmul(dtype_),
         batched_matmul_ = kernels::batched_matmul(DType::f32);
  Kernel permute_ = kernels::permute(), append_ = kernels::append_to_cache(DType::f32), gelu_ = kernels::gelu(),
         add_ = kernels::add();
  Kernel causal_softmax_ = kernels::causal_softmax(1 / std::sqrt(static_cast<double>(config_.head_size())));
  Kernel gather_ = kernels::gather(), softmax_ = kernels::softmax(), argmax_ = kernels::argmax();
};

}  // namespace

std::unique_ptr<Plan> make_unfused_plan(const Config& config, const Weights& weights, const Caps& caps) {
  return std::make_unique<UnfusedPlan>(config, weights, caps);
}

std::unique_ptr<Plan> make_plan(PlanKind kind, const Config& config, const Weights& weights, const Caps& caps) {
  return kind == PlanKind::fused ? make_fused_plan(config, weights, caps) : make_unfused_plan(config, weights, caps);
}

std::string_view name_of(PlanKind kind) { return kind == PlanKind::fused ? "fused" : "unfused"; }

}  // namespace wavetile
