// What a run tells about itself, as text for people and as JSON for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/gpt2/generate.h"

namespace wavetile {

/// A finished run. Times are in seconds; those that a run does not have (no step was made) are negative.
struct Report {
  std::string device;
  DType dtype = DType::f32;
  std::vector<int32_t> prompt_ids;
  Generation generation;
  std::string text;  ///< valid UTF-8
  double load_seconds = 0, compile_seconds = 0;
  double first_token_seconds = -1;  ///< from the program's start, loading and compiling included

  double prefill_tokens_per_second() const;
  double step_seconds() const;  ///< median; negative without steps
};

/// Keys: device dtype prompt_ids generated_ids text prefill_tokens_per_second decode_ms_per_token (median)
/// bytes_per_token decode_gbytes_per_second load_ms compile_ms first_token_ms peak_memory_bytes; null where a run has
/// no such figure. Milliseconds, 10^9 bytes a second.
nlohmann::ordered_json to_json(const Report& report);

/// Lines "max_seq_len: 1024" and so on.
std::string describe(const Config& config);
/// The time for all tokens and for each, in lines.
std::string describe_times(const Report& report);
/// A table of kernels, slowest first: calls, grid, time, share, GB/s, GFLOP/s; its last line says how much of
/// `wall_seconds` it accounts for. `title` says what ran.
std::string describe_profile(const std::string& title, std::vector<CallTimes> calls, double wall_seconds);

/// The most memory that this process has held (mapped files included), 0 where the system does not tell.
size_t peak_memory_bytes();

}  // namespace wavetile
