// How a pass over tokens is cut into kernels. A plan knows the model's arithmetic and its own scratch memory; it knows
// nothing of programs, positions or prompts.
//
//   x = tokens[id] + positions[p]
//   each layer:  x += projection(attention(qkv(layernorm(x))));   x += fc_projection(gelu(fc(layernorm(x))))
//   logits = layernorm(x) · head
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "models/gpt2/recorder.h"
#include "models/gpt2/weights.h"

namespace wavetile {

/// fused: what follows a product is computed while its result is in registers, and scores of attention are never held.
/// unfused: one kernel an op, as in a first implementation; to compare with, and to learn from.
enum class PlanKind { fused, unfused };
std::string_view name_of(PlanKind kind);

/// The keys and values of one layer.
struct Cache {
  TensorView k, v;  // [sequences, heads, positions, head size]
};

/// What a pass reads and writes: `rows` tokens of each of `sequences` sequences.
struct Pass {
  int sequences = 1, rows = 1;
  bool any_rows = false;      // there are other passes of the same kernels, with another number of rows
  int keys = 0;               // positions that attention may look at, at most (unfused: how many it computes)
  TensorView ids;             // [sequences * rows] i32
  TensorView start;           // [sequences] i32: positions read before
  TensorView last;            // [sequences] i32: the row whose logits are wanted; without data: the last one
  std::vector<Cache> caches;  // of all layers; none: nothing was read before, and nothing is kept
  TensorView logits;          // [sequences, vocab] f32
  std::function<int()> positions = [] { return 0; };  // that the sequences have after the pass, in all: for figures
};

class Plan {
 public:
  virtual ~Plan() = default;

  virtual PlanKind kind() const = 0;
  /// One layer's cache for so many sequences and positions, as this plan's kernels read it: extents, strides, dtype.
  virtual Cache cache_layout(int sequences, int positions) const = 0;
  /// Bytes of scratch memory for passes of so many rows in all, over so many sequences.
  virtual size_t scratch_bytes(int rows, int sequences) const = 0;
  /// The memory itself; before anything is recorded.
  virtual void set_scratch(BufferPtr scratch, int rows, int sequences) = 0;

  virtual void record(Recorder& to, const Pass& pass) const = 0;
  /// After a pass over one sequence: the logits [count, vocab] of rows first .. first + count.
  virtual void record_logits(Recorder& to, int first, int count, const TensorView& logits) const = 0;
  /// next[row] = the first token with the greatest logit.
  virtual void record_greedy(Recorder& to, const TensorView& logits, const TensorView& next) const = 0;
};

/// The device, the weights and the config must outlive the plan.
std::unique_ptr<Plan> make_plan(PlanKind kind, const Config& config, const Weights& weights, const Caps& caps);
std::unique_ptr<Plan> make_fused_plan(const Config& config, const Weights& weights, const Caps& caps);
std::unique_ptr<Plan> make_unfused_plan(const Config& config, const Weights& weights, const Caps& caps);

}  // namespace wavetile
