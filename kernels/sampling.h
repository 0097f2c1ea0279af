// Choosing the next token on the device. Rows are the sequences of a batch, V the vocabulary; logits never leave the
// device, and what a row asks for stands in a buffer, so that a recorded program serves every setting.
//
// The rules, in the order of Hugging Face's processors, for a row of logits x:
//
//   penalty       for every token that occurred (Seen != 0): x < 0 ? x * penalty : x / penalty  (Keskar et al. 2019)
//   temperature   z = x / temperature; at 0 the row is greedy: z = x, no filter, no noise
//   top-k         tokens whose z has fewer than k greater ones stay
//   top-p         of those, tokens stay that have less than p of the mass of exp(z) above them
//   min-p         of those, tokens stay with exp(z) >= min_p * exp(the greatest z)
//   draw          the token with the greatest z - log(E), E an exponential variate of its own: token t comes out with
//                 probability exp(z[t]) / sum of exp(z) over what stays (the Gumbel-max trick; Maddison et al. 2014)
//
// Ties: each filter keeps the values from a threshold up, all that equal it included. The first of several greatest
// wins, and a NaN is the greatest of all (as in argmax). +inf beats everything finite; -inf is drawn only if there is
// nothing else.
//
// Nothing here depends on the machine, the batch, the number of threads or the schedule: thresholds are found by
// bisecting bit patterns with integer sums (of counts, and of exp(z) in units below 2^-27 of their sum), and exp and
// log are written here in operations that IEEE 754 defines. E comes from Threefry-2x32-20 (Salmon et al. 2011,
// 'Parallel random numbers: as easy as 1, 2, 3'), keyed by the row's seed, at counter (token, position).
#pragma once

#include <cstdint>

#include "dsl/dsl.h"

namespace wavetile::kernels {

/// What one row asks for, as it lies in the buffer `settings`; the defaults draw from the model's own distribution.
struct SamplingSettings {
  float temperature = 1;  // >= 0
  float top_p = 1;        // 0 to 1; 1: off
  float min_p = 0;        // 0 to 1; 0: off
  float penalty = 1;      // > 0; 1: off
  int32_t top_k = 0;      // 0 or less: off
  uint32_t seed[2] = {};  // the low half, the high half
  uint32_t unused = 0;
};
static_assert(sizeof(SamplingSettings) == 32);
/// The kernels see a buffer of them as two tensors: `Real` f32 [rows,4] from its first byte and `Whole` i32 [rows,3]
/// from its 17th, both with strides {8, 1}.

/// Seen[row, Ids[row,i]] = 1 (u8). Ids outside the vocabulary mark nothing, so that -1 fills up shorter rows; one row
/// of Seen takes a whole prompt, and [rows,1] takes the tokens just drawn.
Kernel mark_seen();
/// Z[row,:]: the logits after penalty and temperature, from Logits[row,:], Seen[row,:] (u8) and Real.
Kernel adjust_logits();
/// Weights[row,:] (i32) = exp(Z[row,:] - its maximum) in units of 2^-30, of rows that top-p filters; others stay as
/// they are.
Kernel weigh_tokens();
/// Least[row], from Z, Real, Whole and Weights: tokens with Z[row,:] below it are dropped; -inf if none is.
Kernel sampling_threshold();
/// Next[row] (i32): the token drawn from Z, Least, Real, Whole and Position[row] (i32). The fold over `col` can be
/// split.
Kernel draw_token();

/// What turns logits into log-probabilities: Max[row] and LogSum[row] = log(sum(exp(X[row,:] - Max[row]))), so that
/// log p[t] = X[row,t] - Max[row] - LogSum[row].
Kernel log_softmax_statistics();

}  // namespace wavetile::kernels
