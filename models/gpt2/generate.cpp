#include "models/gpt2/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace wavetile {
namespace {

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

[[noreturn]] void throw_bad_logits(int position) {
  throw BadLogits(fmt::format(
      "the logits after {} tokens are not numbers (NaN or infinite): the weights are damaged, or too large for "
      "the compute type; try --dtype f32, or another copy of the model",
      position));
}

}  // namespace

Generation generate(Model& model, std::span<const int32_t> prompt, int max_tokens,
                    const std::function<void(int32_t id)>& on_token) {
  using clock = std::chrono::steady_clock;
  Generation g;
  model.reset();
  model.prepare(static_cast<int>(prompt.size()));
  auto start = clock::now();
  model.read(prompt);
  int32_t id = model.next();
  g.prompt_seconds = since(start);
  g.bytes_per_token = static_cast<double>(model.bytes_a_token());
  g.prompt_logits = model.logits();
  if (!std::all_of(g.prompt_logits.begin(), g.prompt_logits.end(), [](float l) { return std::isfinite(l); }))
    throw_bad_logits(model.position());

  double bytes = 0;
  while (static_cast<int>(g.ids.size()) < max_tokens) {
    g.ids.push_back(id);
    on_token(id);
    if (static_cast<int>(g.ids.size()) == max_tokens) break;
    if (model.position() == model.config().max_seq_len) {
      g.positions_exhausted = true;
      break;
    }
    start = clock::now();
    model.step();
    id = model.next();
    g.step_seconds.push_back(since(start));
    bytes += static_cast<double>(model.bytes_a_token());
    // After a sound prompt only a damaged position or embedding row can spoil a step, and that spoils every logit.
    if (id < 0 || id >= model.config().vocab_size || !std::isfinite(model.logit(id)))
      throw_bad_logits(model.position());
  }
  if (!g.step_seconds.empty()) g.bytes_per_token = bytes / static_cast<double>(g.step_seconds.size());
  return g;
}

}  // namespace wavetile
