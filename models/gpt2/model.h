// GPT-2 as a program of kernel calls. Everything of a step runs on the device: embedding, layers, logits and the
// choice of the token; the host reads one number a token.
//
//   x = tokens[id] + positions[p]
//   each layer:  x += projection(attention(qkv(layernorm(x))));   x += fc_projection(gelu(fc(layernorm(x))))
//   logits = layernorm(x) · head;   next = argmax(logits)
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "models/gpt2/weights.h"
#include "runtime/compiler.h"
#include "runtime/program.h"

namespace wavetile {

class Model {
 public:
  /// Lays out the weights and compiles the kernels of a decode step.  `dtype` (f32, f16, bf16) is that of the weights
  /// and of the KV cache; activations are f32.
  Model(const Checkpoint& checkpoint, DevicePtr device, DType dtype, DumpTo dump = {});

  const Config& config() const { return config_; }
  const Weights& weights() const { return weights_; }
  size_t cache_bytes() const;
  double load_seconds() const { return load_seconds_; }
  double compile_seconds() const { return compile_seconds_; }  // that somebody waited for

  /// Compiles what read() needs for a prompt of this many tokens, so that read() itself only runs it.
  void prepare(int tokens);
  /// Forgets all positions.
  void reset() { position_ = 0; }
  /// Reads tokens at the next positions, in one pass; afterwards logits() and next() are those after the last one.
  /// @throws Error for an empty prompt, an id outside the vocabulary, or more tokens than positions are left.
  void read(std::span<const int32_t> ids);
  /// Reads next() itself: one decode step.
  void step();
  /// The greedy choice after what has been read.
  int32_t next();
  /// Replaces the choice that step() will read.
  void set_next(int32_t id);
  /// f32, one a token of the vocabulary.
  std::vector<float> logits();
  float logit(int32_t id);
  /// Tokens read so far.
  int position() const { return position_; }
  /// Memory that a decode step at this position has to read: weights and cache.
  size_t bytes_a_token() const;

  /// Times the kernels of what runs from now on.
  void profile(bool on);
  std::vector<CallTimes> times() const;         // of decode steps, prompts of one token included
  std::vector<CallTimes> prompt_times() const;  // of prompts of the length prepared last
  size_t launches_a_step() const { return decode_->launches(); }

 private:
  struct Cache {
    TensorView k, v;  // [heads, positions, head size]
  };
  void build(Program& p, int rows, const TensorView& ids);
  void touch(size_t offset, size_t bytes, const Buffer& buffer);
  void check_id(int32_t id) const;
  void set_position();

  Config config_;
  DevicePtr device_;
  DType dtype_;
  double load_seconds_ = 0, compile_seconds_ = 0;
  Weights weights_;
  std::unique_ptr<Compiler> compiler_;
  BufferPtr cache_buffer_, activations_, logits_, small_;
  std::vector<Cache> caches_;
  TensorView start_, next_, prompt_;  // i32: positions read, the token to read, the prompt's ids
  std::unique_ptr<Program> decode_, prefill_;
  int prefill_rows_ = 0;  // that prefill_ was built for
  bool profiling_ = false;
  int position_ = 0;
};

}  // namespace wavetile
