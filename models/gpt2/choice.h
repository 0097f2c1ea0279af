// How the next token of each sequence is chosen from the logits, on the device. Sequences that only want the greatest
// logit need none of the memory and of the kernels that the others do: those come into being when the first one asks.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "models/gpt2/plan.h"
#include "runtime/program.h"

namespace wavetile {

/// The rules stand in kernels/sampling.h. These values choose greedily.
struct Sampling {
  float temperature = 0;         // 0: the greatest logit
  int top_k = 0;                 // 0: all
  float top_p = 1, min_p = 0;    // 1, 0: all
  float repetition_penalty = 1;  // 1: none
  uint64_t seed = 0;

  bool greedy() const { return temperature == 0 && repetition_penalty == 1; }
};

class Choice {
 public:
  /// logits [sequences, vocab] f32, next [sequences] i32. The compiler and the plan must outlive this.
  Choice(DevicePtr device, std::shared_ptr<Queue> queue, Compiler& compiler, const Plan& plan, TensorView logits,
         TensorView next);

  void set(const Sampling& sampling, int sequence);
  /// Tokens that a sequence has read; what the repetition penalty counts.
  void read(std::span<const int32_t> ids, int sequence);
  void forget(int sequence);

  /// Runs the pass that gives the logits (on the same queue: one wait for both) and chooses for sequences first ..
  /// first + count. `positions`: tokens read, of each of these; the draw depends on it and on the seed alone.
  /// The kernels of the choice are compiled by the first one; prepare() does it before.
  void prepare(int first, int count) { program(first, count); }
  void choose_after(Program& pass, int first, std::span<const int> positions);

  void profile(bool on);
  std::vector<CallTimes> times() const;
  size_t launches(int first, int count) { return program(first, count).launches(); }
  /// Of the next choose_after().
  void verify_next() { verify_ = true; }
  size_t bytes() const;

 private:
  Program& program(int first, int count);
  void allocate();
  void record_draws(Recorder& to, int first, int count) const;

  DevicePtr device_;
  std::shared_ptr<Queue> queue_;
  Compiler& compiler_;
  const Plan& plan_;
  TensorView logits_, next_;
  std::vector<Sampling> sampling_;
  std::vector<std::vector<int32_t>> ids_;  // read so far
  BufferPtr seen_, adjusted_, weights_, rows_;
  TensorView real_, whole_, least_, position_;
  std::map<std::tuple<bool, int, int>, std::unique_ptr<Program>> programs_;  // drawn or greedy, first, count
  bool profiling_ = false, verify_ = false;
};

}  // namespace wavetile
