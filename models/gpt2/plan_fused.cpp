// The plan for speed: eight kernels a layer.
#include <cmath>

#include "kernels/kernels.h"
#include "kernels/schedules.h"
#include "models/gpt2/plan.h"
#include "models/gpt2/views.h"

namespace wavetile {
namespace {

class FusedPlan : public Plan {
 public:
  FusedPlan(const Config& config, const Weights& weights, const Caps& caps)
      : config_(config),
        weights_(weights),
        caps_(caps),
        dtype_(weights.dtype),
        inputs_(kernels::input_type(caps, weights.dtype)),
        attention_(kernels::batched_attention(dtype_, 1 / std::sqrt(static_cast<double>(config.head_size())), inputs_)),
        attention_rows_(kernels::batched_attention(dtype_, 1 / std::sqrt(static_cast<double>(config.head_size())),
                                                   inputs_, kernels::factor_type(caps, weights.dtype))),
        layernorm_(kernels::layernorm(config.layernorm_eps, inputs_)),
        embedding_(kernels::batched_embedding(dtype_)),
        append_(kernels::batched_append_to_cache(dtype_)),
        gather_(kernels::gather()),
        argmax_(kernels::argmax()) {}

  PlanKind kind() const override { return PlanKind::fused; }

  Cache cache_layout(int sequences, int positions) const override {
    const int64_t S = sequences, T = positions, H = config_.num_heads, D = config_.head_size();
    const Packing keys = caps_.simd ? kernels::key_packing(caps_, true) : Packing{};
    // The keys of each head are packed by themselves: [head][position / panel][size][panel].
    const int64_t panel = keys.blocks.empty() ? 1 : keys.blocks[0].size, padded = (T + panel - 1) / panel * panel;
    Cache c{dense<void>(dtype_, nullptr, {S, H, padded, D}), dense<void>(dtype_, nullptr, {S, H, padded, D})};
    if (panel > 1) c.k.strides = {H * padded * D, padded * D, panel * D, panel};
    c.k.extents[2] = c.v.extents[2] = T;
    return c;
  }

  size_t scratch_bytes(int rows, int) const override {
    return static_cast<size_t>(rows) * static_cast<size_t>(config_.channels) * 4 * 10;
  }
  void set_scratch(BufferPtr scratch, int rows, int) override {
    scratch_ = std::move(scratch);
    max_rows_ = rows;
  }

  void record(Recorder& to, const Pass& p) const override {
    const int64_t C = config_.channels, S = p.sequences, M = p.rows, R = S * M;
    const int rows = p.any_rows ? 0 : -1;
    const Operand x(block(0, R, C), rows), normal(block(1, R, C, inputs_), rows), qkv(block(2, R, 3 * C), rows);
    const Operand mixed(block(5, R, C, inputs_), rows), hidden(block(6, R, 4 * C, inputs_), rows);
    const Schedule row = kernels::rows_schedule(caps_);
    const bool one = M == 1;

    const int second = p.any_rows ? 1 : -1;
    to.call(embedding_,
            {weights_.tokens, weights_.positions, Operand(in_sequences(p.ids, S), second), p.start,
             Operand(in_sequences(x.view, S), second)},
            kernels::embedding_schedule(caps_, dtype_), "embedding",
            Work{bytes_of(x.view) * (1 + 0.5 * size_of(dtype_))});
    for (size_t l = 0; l < weights_.layers.size(); ++l) {
      const LayerWeights& w = weights_.layers[l];
      const Cache& cache = p.caches[l];
      auto heads = [&](const Operand& of, int64_t part) {
        return Operand(as_heads(in_sequences(of.view, S), part * C, config_.num_heads, config_.head_size()),
                       p.any_rows ? 2 : -1);
      };
      to.call(layernorm_, {x, w.ln_1.gain, w.ln_1.bias, normal}, row, "layernorm");
      product(to, p, normal, w.qkv, qkv, nullptr, none_, "qkv");
      to.call(append_, {heads(qkv, 1), heads(qkv, 2), p.start, cache.k, cache.v}, kernels::append_schedule(caps_, true),
              "append to cache", Work{static_cast<double>(2 * R * C) * (4 + size_of(dtype_))});
      to.call(one ? attention_ : attention_rows_, {heads(qkv, 0), cache.k, cache.v, p.start, heads(mixed, 0)},
              kernels::attention_schedule(caps_, one, true, kernels::factor_type(caps_, dtype_), config_.head_size()),
              "attention", [=, this, positions = p.positions] {
                const double keys = positions(), c = static_cast<double>(C);  // a row sees those up to its own
                const double pairs = static_cast<double>(M) * (keys - static_cast<double>(S * (M - 1)) / 2);
                return Work{2 * keys * c * size_of(dtype_), 4 * pairs * c};
              });
      product(to, p, mixed, w.projection, x, &x, none_, "projection + residual");
      to.call(layernorm_, {x, w.ln_2.gain, w.ln_2.bias, normal}, row, "layernorm");
      product(to, p, normal, w.fc, hidden, nullptr, gelu_, "fc + gelu");
      product(to, p, hidden, w.fc_projection, x, &x, none_, "fc projection + residual");
    }
    TensorView last = every(x.view, M, M - 1);
    if (p.last.data) {
      last = block(5, S, C);
      to.call(gather_, {x, p.last, last}, row, "last row", Work{8.0 * static_cast<double>(S * C)});
    }
    logits(to, last, block(1, S, C, inputs_), p.logits);
  }

  void record_logits(Recorder& to, int first, int count, const TensorView& out) const override {
    const int64_t C = config_.channels;
    logits(to, rows_of(block(0, max_rows_, C), first, count), block(1, count, C, inputs_), out);
  }

  void record_greedy(Recorder& to, const TensorView& logits, const TensorView& next) const override {
    to.call(argmax_, {logits, next}, kernels::argmax_schedule(caps_), "argmax");
  }

 private:
  // Rows of the scratch memory from column block `at` of its ten on; what is narrower than f32 leaves room.
  TensorView block(int64_t at, int64_t rows, int64_t columns, DType dtype = DType::f32) const {
    return scratch_->view(dtype, {rows, columns}, at * max_rows_ * config_.channels * 4 / size_of(dtype));
  }

  struct Product {
    explicit Product(Kernel many_rows, Kernel one_row) : rows(std::move(many_rows)), row(std::move(one_row)) {}
    Kernel rows, row;
  };

  void product(Recorder& to, const Pass& p, const Operand& in, const LinearWeights& w, const Operand& out,
               const Operand* residual, const Product& plain, const std::string& label) const {
    const int64_t rows = in.view.extents[0], depth = w.weight.extents[0], columns = w.weight.extents[1];
    const Work work{bytes_of(w.weight), 2.0 * static_cast<double>(rows * depth * columns)};
    const Product& kernel = residual ? residual_ : plain;
    std::vector<Operand> args{in, w.weight, w.bias};
    if (residual) args.push_back(*residual);
    args.push_back(out);
    if (rows > 1 || p.any_rows) {
      to.call(kernel.rows, args, kernels::matmul_schedule(caps_, dtype_, rows, columns, depth, inputs_), label, work);
      return;
    }
    for (Operand* a : {&args.front(), &args.back()}) a->view = as_vector(a->view);
    if (residual) args[3].view = as_vector(args[3].view);
    to.call(kernel.row, args, kernels::gemv_schedule(caps_, dtype_), label, work);
  }

  void logits(Recorder& to, const TensorView& x, const TensorView& normal, const TensorView& out) const {
    const Work work{bytes_of(weights_.head),
                    2.0 * static_cast<double>(out.extents[0] * config_.channels * config_.vocab_size)};
    to.call(layernorm_, {x, weights_.ln_f.gain, weights_.ln_f.bias, normal}, kernels::rows_schedule(caps_),
            "final layernorm");
    if (out.extents[0] == 1)
      to.call(head_.row, {as_vector(normal), weights_.head, as_vector(out)}, kernels::gemv_schedule(caps_, dtype_),
              "logits", work);
    else
      to.call(head_.rows, {normal, weights_.head, out},
              kernels::matmul_schedule(caps_, dtype_, out.extents[0], config_.vocab_size, config_.channels, inputs_),
              "logits", work);
  }

  const Config& config_;
  const Weights& weights_;
  const Caps& caps_;
  DType dtype_, inputs_;
  BufferPtr scratch_;
  int64_t max_rows_ = 0;

  Kernel attention_, attention_rows_, layernorm_, embedding_, append_, gather_, argmax_;
  Product none_{kernels::linear(dtype_, kernels::Activation::none, inputs_),
                kernels::gemv_linear(dtype_, kernels::Activation::none, inputs_)};
  Product gelu_{kernels::linear(dtype_, kernels::Activation::gelu, inputs_, inputs_),
                kernels::gemv_linear(dtype_, kernels::Activation::gelu, inputs_, inputs_)};
  Product residual_{kernels::linear_residual(dtype_, inputs_), kernels::gemv_residual(dtype_, inputs_)};
  Product head_{kernels::matmul(dtype_, inputs_), kernels::gemv(dtype_, inputs_)};
};

}  // namespace

std::unique_ptr<Plan> make_fused_plan(const Config& config, const Weights& weights, const Caps& caps) {
  return std::make_unique<FusedPlan>(config, weights, caps);
}

}  // namespace wavetile
