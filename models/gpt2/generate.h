// Texts from prompts: what is asked for, how the batch's sequences are used, when a text ends. Nothing is printed here.
//
// A sequence of the model is either idle or works on one request. Its history holds all tokens of the text so far; the
// model has read the first position(sequence) of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dsl/error.h"
#include "models/gpt2/model.h"
#include "models/gpt2/tokenizer.h"

namespace wavetile {

/// The logits are NaN or infinite (damaged weights, or weights that do not fit the compute type), or choose a token
/// that the vocabulary does not have.
class BadLogits : public Error {
 public:
  using Error::Error;
};

/// What happens when all positions of the context are taken: the text ends, or the last half of the context is read
/// again from position 0 and the text goes on, exactly as a new run with that half as its prompt would.
enum class ContextPolicy { stop, slide };

struct Request {
  std::vector<int32_t> prompt;
  bool continues = false;  ///< after what sequence 0 has read and written before
  int max_tokens = 20;
  Sampling sampling;
  std::vector<std::string> stop;  ///< the text ends before the first of these; valid UTF-8, none empty
  bool ignore_end = false;        ///< go on after <|endoftext|>
  int logprobs = 0;               ///< how many of the likeliest tokens to report at each step; 0: nothing
  ContextPolicy policy = ContextPolicy::stop;
  bool keep_logits = false;  ///< Completion::prompt_logits are wanted
};

enum class Finish { length, stop_string, end_of_text, context, interrupted };
std::string_view name_of(Finish finish);

/// Natural logarithms of probabilities at temperature 1, before any filter.
struct TokenLogprobs {
  double chosen = 0;
  std::vector<std::pair<int32_t, double>> top;  ///< likeliest first
};

struct Completion {
  std::vector<int32_t> ids;  ///< generated, without the prompt; the <|endoftext|> that ends a text is one of them
  std::string text;          ///< valid UTF-8, without the stop string
  std::vector<TokenLogprobs> logprobs;
  std::vector<float> prompt_logits;  ///< those after the prompt, one a token of the vocabulary; if they were asked for
  Finish finish = Finish::length;
};

/// How long it took, in seconds.
struct Times {
  int prompt_tokens = 0;
  double prompts = 0;         ///< prompts' passes, compilation excluded
  std::vector<double> steps;  ///< each decode step, of all sequences together
  int step_tokens = 0;        ///< that the steps gave
  double bytes_per_step = 0;  ///< mean of what a step has to read: weights and caches
};

class Generator {
 public:
  /// `interrupted`, where given, is looked at before each step: once it is true, every text ends as it is.
  Generator(Model& model, const Tokenizer& tokenizer, const std::atomic<bool>* interrupted = nullptr);

  /// A piece of the text of a request: whole characters, none of which can belong to a stop string.
  using OnText = std::function<void(size_t request, std::string_view text)>;
  using OnDone = std::function<void(size_t request, const Completion& completion)>;
  /// Runs the requests, as many at a time as the model has sequences, in order. What the callbacks throw ends the run.
  /// @throws BadLogits; Error for an empty prompt, one longer than the context or an id outside the vocabulary.
  std::vector<Completion> run(const std::vector<Request>& requests, const OnText& on_text = {},
                              const OnDone& on_done = {});

  const Times& times() const { return times_; }

 private:
  struct Slot {
    int request = -1;  // that it works on; -1: idle
    std::vector<int32_t> history;
    Utf8Stream characters;
    std::string held;  // text that may be the beginning of a stop string
  };
  bool stopped() const { return interrupted_ && *interrupted_; }
  bool active(size_t slot) const { return slots_[slot].request >= 0; }
  void start(size_t slot, int request);
  void read(size_t slot, std::span<const int32_t> ids);
  void accept(size_t slot);
  void put_text(size_t slot, std::string_view text, bool last);
  void finish(size_t slot, Finish how);
  void make_room(size_t slot);
  void keep_last_half(size_t slot);
  TokenLogprobs logprobs_of(size_t slot, int32_t id, int count);

  Model& model_;
  const Tokenizer& tokenizer_;
  const std::atomic<bool>* interrupted_;
  std::vector<Slot> slots_;
  Times times_;
  // Of the run that is under way.
  const std::vector<Request>* requests_ = nullptr;
  std::vector<Completion> completions_;
  const OnText* on_text_ = nullptr;
  const OnDone* on_done_ = nullptr;
};

}  // namespace wavetile
