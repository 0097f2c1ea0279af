// Random cases of every kernel of the library: for the tests, and for `wavetile check` on machines that the tests have
// not seen.
#pragma once

#include <string>
#include <vector>

#include "checks/cases.h"
#include "kernels/kernels.h"

namespace wavetile::checks {

/// What surrounds a product A[m,k] · B[k,n] with weights B.
struct Product {
  bool batched = false, vector = false, bias = false, residual = false;
  kernels::Activation activation = kernels::Activation::none;
};
Subject product(const Product& p, DType weights);
Subject layernorm(DType out);
Subject softmax();
Subject causal_softmax();
Subject argmax();
Subject attention(DType cache);
Subject append_to_cache(DType cache);
Subject batched_attention();
Subject batched_append_to_cache();
Subject embedding(DType weights);
Subject batched_embedding();
Subject gelu();
Subject add();
Subject copy(DType from, DType to);
Subject gather();
Subject permute();
Subject mark_seen();
Subject adjust_logits();
Subject weigh_tokens();
Subject sampling_threshold();
Subject draw_token();
Subject log_softmax_statistics();

/// The arguments of sampling_threshold and draw_token for so many rows and columns, outputs last.
std::vector<HostTensor> threshold_tensors(int64_t rows, int64_t columns);
std::vector<HostTensor> draw_tensors(int64_t rows, int64_t columns);
Schedule random_sampling_schedule(const Caps& caps);

struct NamedSubject {
  std::string name;  // the kernel's, and its types: "linear bf16"
  Subject subject;
};
/// All of the above.
std::vector<NamedSubject> library();

}  // namespace wavetile::checks
