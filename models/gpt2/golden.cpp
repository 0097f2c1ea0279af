#include "models/gpt2/golden.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

namespace wavetile {
namespace {

// Whether the model's choice after a step will do; notes what it was.
bool agrees(Model& model, const GoldenPrompt& p, size_t step, GoldenResult& r) {
  const int32_t golden = p.greedy[step], chosen = model.next();
  r.same += chosen == golden;
  if (model.options().dtype == DType::f32 || p.margins[step] > kClearMargin) return chosen == golden;
  ++r.ties;
  const std::vector<float> logits = model.logits();
  const float l = logits[static_cast<size_t>(golden)];
  // A NaN is no smaller than anything.
  return std::count_if(logits.begin(), logits.end(), [l](float other) { return !(other <= l); }) <= 1;
}

}  // namespace

std::vector<GoldenPrompt> read_golden(const std::filesystem::path& model) {
  const std::string path = (model / "golden.json").string();
  std::ifstream in(path);
  if (!in) throw Error(fmt::format("{}: cannot read it; it has the reference results of the model beside it", path));
  try {
    std::vector<GoldenPrompt> all;
    const auto golden = nlohmann::json::parse(in);
    for (const auto& p : golden.at("prompts"))
      all.push_back({p.at("prompt"), p.at("ids"), p.at("greedy"), p.at("margins"), p.at("first_logits_top")});
    if (all.empty()) throw Error(fmt::format("{}: it has no prompts", path));
    return all;
  } catch (const nlohmann::json::exception& e) {
    throw Error(fmt::format("{}: {}", path, e.what()));
  }
}

GoldenResult follow_golden(Model& model, const std::vector<GoldenPrompt>& golden, size_t prompts, size_t steps) {
  const double tolerance = model.options().dtype == DType::f32 ? 1e-3 : 0.2;
  GoldenResult r;
  for (; static_cast<size_t>(r.prompts) < std::min(prompts, golden.size()); ++r.prompts) {
    const GoldenPrompt& p = golden[static_cast<size_t>(r.prompts)];
    model.reset();
    model.read(p.ids);
    const std::vector<float> logits = model.logits();
    for (auto [id, value] : p.top) {
      const double error = std::abs(static_cast<double>(logits.at(static_cast<size_t>(id))) - value);
      if (!(error <= tolerance)) {  // no NaN passes
        r.failure = fmt::format("prompt '{}': the logit of token {} is {}, not {}", p.text, id,
                                logits[static_cast<size_t>(id)], value);
        return r;
      }
      r.worst_logit = std::max(r.worst_logit, error);
    }
    for (size_t i = 0; i < std::min(steps, p.greedy.size()); ++i, ++r.steps) {
      if (i) model.step();
      if (!agrees(model, p, i, r)) {
        r.failure = fmt::format("prompt '{}', step {}: token {}, not {} (margin {:.3g})", p.text, i, model.next(),
                                p.greedy[i], p.margins[i]);
        return r;
      }
      model.set_next(p.greedy[i]);
    }
  }
  return r;
}

}  // namespace wavetile
