#include "bench/library.h"

#include "dsl/tensor_view.h"
#include "kernels/kernels.h"
#include "kernels/sampling.h"
#include "kernels/schedules.h"

namespace wavetile::bench {
namespace {

using namespace kernels;

constexpr DType f = DType::f32, i = DType::i32;
constexpr std::int64_t c = 768, n = 2304, heads = 12, d = 64, keys = 1024, vocabulary = 50257;
constexpr double scale = 0.125;

// A dense tensor; an extent of 0 is open.
TensorSpec spec(DType t, const std::vector<std::int64_t>& extents) {
  TensorSpec s{t, {}, {}, 16};
  for (std::int64_t e : extents) s.extents.push_back(e ? std::optional<std::int64_t>(e) : std::nullopt);
  for (std::int64_t e : row_major(extents)) s.strides.emplace_back(e);
  return s;
}

// Views of rows of q, k and v: [heads, rows, d] as columns of [rows, of], with or without sequences of one row each.
TensorSpec heads_spec(std::int64_t rows, std::int64_t of) {
  return {f, {heads, rows ? std::optional(rows) : std::nullopt, d}, {d, of, 1}, 16};
}
TensorSpec grouped_heads_spec(std::int64_t sequences, std::int64_t of) {
  return {f, {sequences ? std::optional(sequences) : std::nullopt, heads, 1, d}, {of, d, of, 1}, 16};
}

class Library {
 public:
  Library(const Caps& caps, DType weights, const Rows& rows) : caps_(caps), w_(weights), rows_(rows) {}

  std::map<std::string, Sample> all() && {
    add_products();
    add_attention();
    add_others();
    if (w_ == f) {
      add_row_kernels();
      add_sampling();
    }
    return std::move(all_);
  }

 private:
  void add(const std::string& name, Kernel k, Signature sig, Schedule s, std::int64_t integers = 0, double bytes = 0) {
    all_.insert({name, {std::move(k), std::move(sig), std::move(s), integers, bytes}});
  }
  TensorSpec rows(std::int64_t columns) const { return spec(f, {rows_.tokens, columns}); }

  void add_products() {
    const Schedule product = matmul_schedule(caps_, w_, rows_.tokens ? rows_.tokens : 64, n, c);
    const Schedule vector = gemv_schedule(caps_, w_);
    Schedule batched = product;
    batched.packing.clear();
    add("matmul", matmul(w_), {rows(c), spec(w_, {c, n}), rows(n)}, product);
    add("batched_matmul", batched_matmul(w_),
        {spec(f, {heads, 128, d}), spec(w_, {heads, d, 128}), spec(f, {heads, 128, 128})}, batched);
    for (Activation a : {Activation::none, Activation::gelu}) {
      const std::string suffix = a == Activation::gelu ? "_gelu" : "";
      add("linear" + suffix, linear(w_, a), {rows(c), spec(w_, {c, n}), spec(f, {n}), rows(n)}, product);
      add("gemv_linear" + suffix, gemv_linear(w_, a), {spec(f, {c}), spec(w_, {c, n}), spec(f, {n}), spec(f, {n})},
          vector);
    }
    add("linear_residual", linear_residual(w_), {rows(c), spec(w_, {c, c}), spec(f, {c}), rows(c), rows(c)}, product);
    add("gemv", gemv(w_), {spec(f, {c}), spec(w_, {c, vocabulary}), spec(f, {vocabulary})}, vector);
    add("gemv_residual", gemv_residual(w_), {spec(f, {c}), spec(w_, {c, c}), spec(f, {c}), spec(f, {c}), spec(f, {c})},
        vector);
  }

  void add_attention() {
    const std::int64_t r = rows_.tokens, s = rows_.sequences;
    const TensorSpec cache = spec(w_, {heads, keys, d}), grouped_cache = spec(w_, {s, heads, keys, d});
    for (bool one : {false, true}) {
      const std::int64_t m = one && r ? 1 : r;
      add(one ? "attention, one row" : "attention", attention(w_, scale),
          {heads_spec(m, 3 * c), cache, cache, spec(i, {1}), heads_spec(m, c)}, attention_schedule(caps_, one),
          keys - m);
    }
    const double appended = static_cast<double>(2 * c) * (4 + size_of(w_));
    add("append_to_cache", append_to_cache(w_),
        {heads_spec(r, 3 * c), heads_spec(r, 3 * c), spec(i, {1}), cache, cache}, append_schedule(caps_), keys - r,
        appended * static_cast<double>(r));
    add("batched attention", batched_attention(w_, scale),
        {grouped_heads_spec(s, 3 * c), grouped_cache, grouped_cache, spec(i, {s}), grouped_heads_spec(s, c)},
        attention_schedule(caps_, true, true), keys - 1);
    add("batched_append_to_cache", batched_append_to_cache(w_),
        {grouped_heads_spec(s, 3 * c), grouped_heads_spec(s, 3 * c), spec(i, {s}), grouped_cache, grouped_cache},
        append_schedule(caps_, true), keys - 1, appended * static_cast<double>(s));
  }

  void add_others() {
    const std::int64_t r = rows_.tokens, s = rows_.sequences;
    const double embedded = static_cast<double>(c) * (2 * size_of(w_) + 4);
    add("embedding", embedding(w_),
        {spec(w_, {c, vocabulary}), spec(w_, {keys, c}), spec(i, {r}), spec(i, {1}), rows(c)},
        embedding_schedule(caps_, w_), 0, embedded * static_cast<double>(r));
    add("batched_embedding", batched_embedding(w_),
        {spec(w_, {c, vocabulary}), spec(w_, {keys, c}), spec(i, {s, 1}), spec(i, {s}), spec(f, {s, 1, c})},
        embedding_schedule(caps_, w_), 0, embedded * static_cast<double>(s));
    for (DType to : {DType::f32, DType::f16, DType::bf16})
      add("copy to " + std::string(name_of(to)), copy(w_, to), {spec(w_, {r, c}), spec(to, {r, c})},
          rows_schedule(caps_));
  }

  void add_row_kernels() {
    const std::int64_t r = rows_.tokens;
    const Schedule row = rows_schedule(caps_);
    for (std::int64_t columns : {c, d}) {
      const std::string suffix = " " + std::to_string(columns);
      add("layernorm" + suffix, layernorm(), {rows(columns), spec(f, {columns}), spec(f, {columns}), rows(columns)},
          row);
      add("softmax" + suffix, softmax(), {rows(columns), rows(columns)}, row);
    }
    add("causal_softmax", causal_softmax(scale), {spec(f, {r, 128, 128}), spec(i, {1}), spec(f, {r, 128, 128})}, row);
    add("gelu", kernels::gelu(), {rows(c), rows(c)}, row);
    add("add", kernels::add(), {rows(c), rows(c), rows(c)}, row);
    TensorSpec turned{f, {rows_.tokens ? std::optional(r) : std::nullopt, 12, 64}, {64, std::nullopt, 1}, 16};
    if (r) turned.strides[1] = 64 * r;
    add("permute", permute(), {spec(f, {r, 12, 64}), turned}, row);
  }

  void add_sampling() {
    const std::int64_t s = rows_.sequences;
    const auto open = s ? std::optional(s) : std::nullopt;
    const TensorSpec real{f, {open, 4}, {8, 1}, 16}, whole{i, {open, 3}, {8, 1}, 16};
    const TensorSpec logits = spec(f, {s, vocabulary}), seen = spec(DType::u8, {s, vocabulary}), one = spec(i, {s}),
                     least = spec(f, {s}), weights = spec(i, {s, vocabulary});
    const Schedule row = rows_schedule(caps_), sample = sampling_schedule(caps_);
    add("argmax", argmax(), {logits, one}, argmax_schedule(caps_));
    add("mark_seen", mark_seen(), {spec(i, {s, 1}), seen}, row, 0, static_cast<double>(5 * s));
    add("adjust_logits", adjust_logits(), {logits, seen, real, logits}, sample);
    add("weigh_tokens", weigh_tokens(), {logits, real, weights}, sample);
    add("sampling_threshold", sampling_threshold(), {logits, real, whole, weights, least}, sample);
    add("draw_token", draw_token(), {logits, least, real, whole, one, one}, sample);
    add("log_softmax_statistics", log_softmax_statistics(), {logits, least, least}, row);
  }

  const Caps& caps_;
  DType w_;
  Rows rows_;
  std::map<std::string, Sample> all_;
};

}  // namespace

std::map<std::string, Sample> library(const Caps& caps, DType weights, const Rows& rows) {
  return Library(caps, weights, rows).all();
}

std::map<std::string, Sample> prompt_library(const Caps& caps, DType w) {
  constexpr std::int64_t inner = 4 * c;
  const DType in = input_type(caps, w), factors = factor_type(caps, w);
  std::map<std::string, Sample> all;
  auto add = [&](const std::string& name, Kernel k, Signature sig, const Schedule& schedule) {
    all.insert({name, {std::move(k), std::move(sig), schedule}});
  };
  for (const auto& [suffix, rows] : {std::pair("", 64l), std::pair(", many rows", 1l << 14)}) {
    auto product = [&, s = suffix, m = rows](const char* name, Kernel k, DType out, std::int64_t columns,
                                             std::int64_t depth, const Signature& more = {}) {
      Signature sig{spec(in, {0, depth}), spec(w, {depth, columns})};
      sig.insert(sig.end(), more.begin(), more.end());
      sig.push_back(spec(out, {0, columns}));
      add(std::string(name) + s, std::move(k), std::move(sig), matmul_schedule(caps, w, m, columns, depth, in));
    };
    product("matmul", matmul(w, in), f, inner, c);
    product("logits", matmul(w, in), f, vocabulary, c);
    product("linear", linear(w, Activation::none, in), f, inner, c, {spec(f, {inner})});
    product("linear_gelu", linear(w, Activation::gelu, in, in), in, inner, c, {spec(f, {inner})});
    product("linear_residual", linear_residual(w, in), f, c, inner, {spec(f, {c}), spec(f, {0, c})});
  }
  TensorSpec out = heads_spec(0, c);
  out.dtype = in;
  add("attention", attention(w, scale, in, factors),
      {heads_spec(0, 3 * c), spec(w, {heads, keys, d}), spec(w, {heads, keys, d}), spec(i, {1}), out},
      attention_schedule(caps, false, false, factors));
  return all;
}

}  // namespace wavetile::bench
