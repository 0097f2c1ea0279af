// Reference results that lie beside a checkpoint (golden.json), and a model compared with them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "models/gpt2/model.h"

namespace wavetile {

struct GoldenPrompt {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<int32_t> greedy;              // the continuation
  std::vector<double> margins;              // best minus second-best logit, a step
  std::vector<std::pair<int, double>> top;  // (id, logit) of the 20 best after the prompt
};

/// @throws Error where the directory has no golden.json, or one that is not understood.
std::vector<GoldenPrompt> read_golden(const std::filesystem::path& model);

struct GoldenResult {
  int prompts = 0, steps = 0;
  int same = 0;            // steps that chose the reference's token
  int ties = 0;            // steps of a 16-bit type whose margin is below kClearMargin
  double worst_logit = 0;  // how far one of the first logits is off
  std::string failure;     // the first thing that is wrong; empty: nothing is
};

/// Of logits, in 16-bit types.
inline constexpr double kClearMargin = 0.2;

/// Runs prompts and greedy steps, so many at most. f32 has to choose every token of the reference. The 16-bit types are
/// given the reference's token after each step: they must agree with it where it is not nearly a tie, and rank it
/// second at worst where it is. The first logits may be off by 1e-3, in 16-bit types by 0.2.
GoldenResult follow_golden(Model& model, const std::vector<GoldenPrompt>& golden,
                           size_t prompts = std::numeric_limits<size_t>::max(),
                           size_t steps = std::numeric_limits<size_t>::max());

}  // namespace wavetile
