// What a run produces and how long it took. Nothing is printed here.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "dsl/error.h"
#include "models/gpt2/model.h"

namespace wavetile {

/// The logits are NaN or infinite: damaged weights, or weights that do not fit the compute type.
class BadLogits : public Error {
 public:
  using Error::Error;
};

struct Generation {
  std::vector<int32_t> ids;          ///< generated, without the prompt
  std::vector<float> prompt_logits;  ///< those after the prompt, one a token of the vocabulary
  double prompt_seconds = 0;         ///< the prompt's pass, compilation excluded
  std::vector<double> step_seconds;  ///< each decode step: one less than ids, since the prompt's pass gives the first
  double bytes_per_token = 0;        ///< mean over the steps of what each has to read: weights and cache
  bool positions_exhausted = false;  ///< ended early: every position of the model is taken
};

/// Reads the prompt and continues it greedily by exactly `max_tokens` tokens, or as many as the model has positions
/// for (a prompt that fills them all yields one). `on_token` is called with each token before the next one is computed;
/// what it throws ends the run.
/// @throws BadLogits; Error for an empty prompt, one longer than the model's positions or an id outside its vocabulary.
Generation generate(Model& model, std::span<const int32_t> prompt, int max_tokens,
                    const std::function<void(int32_t id)>& on_token);

}  // namespace wavetile
