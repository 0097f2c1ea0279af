#include "checks/library.h"

#include <fmt/format.h>

namespace wavetile::checks {

std::vector<NamedSubject> library() {
  constexpr auto gelu_of_it = kernels::Activation::gelu;
  constexpr DType types[] = {DType::f32, DType::f16, DType::bf16};
  std::vector<NamedSubject> all;
  auto each = [&](const std::string& name, auto subject_of) {
    for (DType t : types) all.push_back({fmt::format("{} {}", name, name_of(t)), subject_of(t)});
  };
  const std::pair<const char*, Product> products[] = {
      {"matmul", {}},
      {"batched_matmul", {.batched = true}},
      {"linear", {.bias = true}},
      {"linear gelu", {.bias = true, .activation = gelu_of_it}},
      {"linear_residual", {.bias = true, .residual = true}},
      {"gemv", {.vector = true}},
      {"gemv_linear", {.vector = true, .bias = true}},
      {"gemv_linear gelu", {.vector = true, .bias = true, .activation = gelu_of_it}},
      {"gemv_residual", {.vector = true, .bias = true, .residual = true}},
  };
  for (const auto& [name, p] : products) each(name, [p = p](DType w) { return product(p, w); });
  each("attention", attention);
  each("append_to_cache", append_to_cache);
  each("embedding", embedding);
  for (DType from : types)
    for (DType to : types) all.push_back({fmt::format("copy {} to {}", name_of(from), name_of(to)), copy(from, to)});
  all.push_back({"layernorm f32", layernorm(DType::f32)});
  all.push_back({"layernorm bf16", layernorm(DType::bf16)});
  all.push_back({"softmax", softmax()});
  all.push_back({"causal_softmax", causal_softmax()});
  all.push_back({"argmax", argmax()});
  all.push_back({"batched_attention", batched_attention()});
  all.push_back({"batched_append_to_cache", batched_append_to_cache()});
  all.push_back({"batched_embedding", batched_embedding()});
  all.push_back({"gelu", gelu()});
  all.push_back({"add", add()});
  all.push_back({"gather", gather()});
  all.push_back({"permute", permute()});
  all.push_back({"mark_seen", mark_seen()});
  all.push_back({"adjust_logits", adjust_logits()});
  all.push_back({"weigh_tokens", weigh_tokens()});
  all.push_back({"sampling_threshold", sampling_threshold()});
  all.push_back({"draw_token", draw_token()});
  all.push_back({"log_softmax_statistics", log_softmax_statistics()});
  return all;
}

}  // namespace wavetile::checks
