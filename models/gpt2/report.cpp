#include "models/gpt2/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

namespace wavetile {
namespace {

nlohmann::ordered_json number(double x, double scale) {
  if (x < 0) return nullptr;
  return std::round(x * scale * 1e4) / 1e4;
}

std::string rate(double amount, double seconds) {
  return amount > 0 && seconds > 0 ? fmt::format("{:.1f}", amount / seconds / 1e9) : "-";
}

}  // namespace

double Report::prefill_tokens_per_second() const {
  return static_cast<double>(prompt_ids.size()) / generation.prompt_seconds;
}

double Report::step_seconds() const {
  std::vector<double> s = generation.step_seconds;
  if (s.empty()) return -1;
  std::sort(s.begin(), s.end());
  return (s[(s.size() - 1) / 2] + s[s.size() / 2]) / 2;
}

nlohmann::ordered_json to_json(const Report& r) {
  double step = r.step_seconds(), bytes = r.generation.bytes_per_token;
  return {
      {"device", r.device},
      {"dtype", std::string(name_of(r.dtype))},
      {"prompt_ids", r.prompt_ids},
      {"generated_ids", r.generation.ids},
      {"text", r.text},
      {"prefill_tokens_per_second", number(r.prefill_tokens_per_second(), 1)},
      {"decode_ms_per_token", number(step, 1e3)},
      {"bytes_per_token", std::llround(bytes)},
      {"decode_gbytes_per_second", step > 0 ? number(bytes / step, 1e-9) : nlohmann::ordered_json(nullptr)},
      {"load_ms", number(r.load_seconds, 1e3)},
      {"compile_ms", number(r.compile_seconds, 1e3)},
      {"first_token_ms", number(r.first_token_seconds, 1e3)},
      {"peak_memory_bytes", peak_memory_bytes()},
  };
}

std::string describe(const Config& c) {
  return fmt::format("max_seq_len: {}\nvocab_size: {}\nnum_layers: {}\nnum_heads: {}\nchannels: {}\ntotal_params: {}\n",
                     c.max_seq_len, c.vocab_size, c.num_layers, c.num_heads, c.channels, c.total_params());
}

std::string describe_times(const Report& r) {
  const Generation& g = r.generation;
  double all = std::accumulate(g.step_seconds.begin(), g.step_seconds.end(), g.prompt_seconds);
  double step = r.step_seconds();
  std::string out =
      fmt::format("{} tokens on {} in {}: {:.1f} ms", g.ids.size(), r.device, name_of(r.dtype), all * 1e3);
  if (!g.ids.empty()) out += fmt::format(", {:.2f} ms per token", all * 1e3 / static_cast<double>(g.ids.size()));
  out += fmt::format("\n  prompt: {} tokens in {:.1f} ms, {:.0f} tokens/s", r.prompt_ids.size(), g.prompt_seconds * 1e3,
                     r.prefill_tokens_per_second());
  if (step > 0)
    out += fmt::format("\n  decode: {:.2f} ms per token (median), {:.1f} MB read, {:.1f} GB/s", step * 1e3,
                       g.bytes_per_token / 1e6, g.bytes_per_token / step / 1e9);
  out += "\n  start:  ";
  if (r.first_token_seconds >= 0)
    out += fmt::format("first token after {:.0f} ms, of these ", r.first_token_seconds * 1e3);
  out += fmt::format("loading {:.0f} ms, compiling {:.0f} ms\n", r.load_seconds * 1e3, r.compile_seconds * 1e3);
  return out;
}

std::string describe_profile(const std::string& title, std::vector<CallTimes> calls, double wall_seconds) {
  std::stable_sort(calls.begin(), calls.end(), [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  std::string out = fmt::format("{}\n  {:<18} {:>7} {:>7} {:>10} {:>7} {:>8} {:>9}\n", title, "kernel", "calls", "grid",
                                "ms", "share", "GB/s", "GFLOP/s");
  double sum = 0;
  for (const CallTimes& c : calls) {
    sum += c.seconds;
    out +=
        fmt::format("  {:<18} {:>7} {:>7} {:>10.3f} {:>6.1f}% {:>8} {:>9}\n", c.name, c.calls, c.grid, c.seconds * 1e3,
                    100 * c.seconds / wall_seconds, rate(c.work.bytes, c.seconds), rate(c.work.flops, c.seconds));
  }
  return out + fmt::format("  these account for {:.1f}% of {:.3f} ms\n", 100 * sum / wall_seconds, wall_seconds * 1e3);
}

size_t peak_memory_bytes() {
  // Not getrusage: its figure is at least that of the process which started this one.
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  return 0;
}

}  // namespace wavetile
