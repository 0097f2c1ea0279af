// GPT-2 as programs of kernel calls over a batch of sequences. Everything of a step runs on the device: embedding,
// layers, logits and the choice of the token; the host reads one number a token and sequence.
//
// A sequence is a slot of the batch: its positions, its part of the cache and its logits are its own, and what the
// others do never shows in its numbers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "models/gpt2/choice.h"
#include "models/gpt2/plan.h"
#include "models/gpt2/weights.h"
#include "runtime/compiler.h"
#include "runtime/program.h"

namespace wavetile {

struct ModelOptions {
  DType dtype =
      DType::bf16;  // f32, f16 or bf16: of the weights, and of the cache in the fused plan; activations are f32
  PlanKind plan = PlanKind::fused;
  int sequences = 1;
  int context = 0;    // positions of a sequence; 0: as many as the model has
  bool cache = true;  // false: every step computes all `context` positions again
  DumpTo dump = {};
  CacheOptions kernels = {};                  // where compiled kernels are kept
  std::function<void(double)> progress = {};  // of loading the weights: from 0 to 1
};

class Model {
 public:
  /// Lays out the weights and compiles the kernels of a decode step.
  /// @throws Error for a context that the model does not have.
  Model(const Checkpoint& checkpoint, DevicePtr device, ModelOptions options);
  Model(const Model&) = delete;  // plans refer to its members

  const Config& config() const { return config_; }
  const ModelOptions& options() const { return options_; }
  const Weights& weights() const { return weights_; }
  Device& device() { return *device_; }
  int context() const { return options_.context; }
  int sequences() const { return options_.sequences; }
  size_t cache_bytes() const { return cache_buffer_ ? cache_buffer_->bytes() : 0; }
  size_t activation_bytes() const;
  double load_seconds() const { return load_seconds_; }
  double compile_seconds() const { return compile_seconds_; }  // that somebody waited for

  /// Compiles what read() needs for a prompt of this many tokens, so that read() itself only runs it.
  void prepare(int tokens, int sequence = 0);
  /// From the next read() or step() on.
  void set_sampling(const Sampling& sampling, int sequence = 0);
  /// Forgets all positions of a sequence.
  void reset(int sequence = 0);
  /// Reads tokens at the next positions of a sequence, in one pass; afterwards logits() and next() are those after the
  /// last one.
  /// @throws Error for an empty prompt, an id outside the vocabulary, or more tokens than positions are left.
  void read(std::span<const int32_t> ids, int sequence = 0);
  /// Compiles what the next step() of these sequences needs, so that step() itself only runs it.
  void prepare_step(const std::vector<bool>& active = {});
  /// One decode step of the sequences in `active` (one flag each; all by default): each reads its next().
  /// @throws Error if one of them has no position left.
  void step(const std::vector<bool>& active = {});
  /// The choice after what has been read.
  int32_t next(int sequence = 0);
  /// Replaces the choice that step() will read.
  void set_next(int32_t id, int sequence = 0);
  /// f32, one a token of the vocabulary; of a sequence that took part in the last pass.
  std::vector<float> logits(int sequence = 0);
  float logit(int32_t id, int sequence = 0);
  /// Tokens read so far.
  int position(int sequence = 0) const { return positions_.at(static_cast<size_t>(sequence)); }
  /// Memory that a decode step of all sequences at their positions has to read: weights and caches.
  size_t bytes_a_step() const;

  /// Reads a window of tokens from nothing in sequence 0 and returns -log p(target) of each, in nats.
  std::vector<double> losses(std::span<const int32_t> ids, std::span<const int32_t> targets);

  /// Times the kernels of what runs from now on.
  void profile(bool on);
  std::vector<CallTimes> times() const;         // of decode steps, prompts of one token included
  std::vector<CallTimes> prompt_times() const;  // of prompts of the length prepared last
  size_t launches_a_step();
  /// Checks every call of the next so many steps, and of the prompts read before they are over, against the IR
  /// interpreter. What runs then throws VerifyError naming kernel, element, both values and the kernel's line.
  void verify(int steps) { verify_ = steps; }
  CacheStats kernel_cache() const { return compiler_->cache(); }

 private:
  // A plan with memory for so many rows, and the program that was recorded with it last.
  struct Passes {
    std::unique_ptr<Plan> plan;
    BufferPtr scratch;
    int rows = 0;
  };
  void allocate();
  void make_room(Passes& passes, int rows);
  Pass pass(int rows, int sequence, int count, int positions) const;
  std::unique_ptr<Program> record(const Plan& plan, const Pass& pass);
  int furthest(const std::vector<bool>& active) const;
  Program& decode(int positions);
  void prepare_pass(int tokens, int sequence);
  void recompute(int sequence);
  void run(Program& program, int first, int count);
  void write_prompt(std::span<const int32_t> ids);
  BufferPtr touched(size_t bytes);
  void put(const TensorView& to, int sequence, int32_t value);
  void check_id(int32_t id) const;

  Config config_;
  DevicePtr device_;
  std::shared_ptr<Queue> queue_;  // of all programs: one wait a token
  ModelOptions options_;
  double load_seconds_ = 0, compile_seconds_ = 0;
  Weights weights_;
  std::unique_ptr<Compiler> compiler_;
  Passes steps_, prompts_;
  std::unique_ptr<Choice> choice_;
  BufferPtr cache_buffer_, logits_buffer_, loss_buffer_, small_;
  std::vector<Cache> caches_;
  TensorView start_, last_, next_, prompt_, logits_;
  std::map<int, std::unique_ptr<Program>> decode_;  // by the number of keys that attention computes
  std::unique_ptr<Program> prompt_pass_;
  int prompt_rows_ = 0, prompt_sequence_ = 0;  // that it was recorded for
  bool profiling_ = false;
  int verify_ = 0;  // steps that are still to be checked
  std::vector<int> positions_;
  std::vector<std::vector<int32_t>> ids_;  // read so far, where nothing is cached
};

}  // namespace wavetile
