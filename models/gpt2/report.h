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
  PlanKind plan = PlanKind::fused;
  Times times;
  int tokens = 0;  ///< generated
  double load_seconds = 0, compile_seconds = 0;
  double first_token_seconds = -1;  ///< from the program's start, loading and compiling included
  double read_gbytes = -1;          ///< cpu: GB/s at which the same threads read the weights and do nothing else

  double prefill_tokens_per_second() const;
  double step_seconds(double quantile) const;  ///< of the steps; negative without steps
  double gbytes_per_second() const;            ///< of the median step; negative without steps
};

/// Keys: device dtype plan prompt_ids generated_ids text finish prefill_tokens_per_second decode_ms_per_token (median)
/// decode_ms_per_token_p90 bytes_per_token decode_gbytes_per_second read_gbytes_per_second load_ms compile_ms
/// first_token_ms peak_memory_bytes; null where a run has no such figure; logprobs where they were asked for.
/// Milliseconds, 10^9 bytes a second.
nlohmann::ordered_json to_json(const Report& report, const Request& request, const Completion& completion,
                               const Tokenizer& tokenizer);
/// One line of a batch's results: prompt_ids generated_ids text finish, and logprobs where they were asked for.
nlohmann::ordered_json to_json(const Request& request, const Completion& completion, const Tokenizer& tokenizer);

/// Lines "max_seq_len: 1024" and so on, with the parameters counted both ways.
std::string describe(const Config& config);
/// A table of the memory that each part takes, in f32 and in the compute type.
std::string describe_memory(const Model& model);
/// The time for all tokens and for each, in lines.
std::string describe_times(const Report& report);
/// A table of kernels, slowest first: calls, grid, time, share, GB/s, GFLOP/s; its last line says how much of
/// `wall_seconds` it accounts for, and whose clock took the times. `title` says what ran.
std::string describe_profile(const std::string& title, std::vector<CallTimes> calls, double wall_seconds);

/// The most memory that this process has held (mapped files included), 0 where the system does not tell.
size_t peak_memory_bytes();
/// GB/s at which the device's threads read a buffer from end to end; the best of a few times.
double read_speed(const Buffer& buffer, int threads);

}  // namespace wavetile
