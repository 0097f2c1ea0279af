#include "models/gpt2/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "models/gpt2/views.h"
#include "runtime/thread_pool.h"

namespace wavetile {
namespace {

using nlohmann::ordered_json;

ordered_json number(double x, double scale) {
  if (x < 0) return nullptr;
  return std::round(x * scale * 1e4) / 1e4;
}

std::string rate(double amount, double seconds) {
  return amount > 0 && seconds > 0 ? fmt::format("{:.1f}", amount / seconds / 1e9) : "-";
}

double mebibytes(double bytes) { return bytes / 1048576; }

}  // namespace

double Report::prefill_tokens_per_second() const {
  return times.prompts > 0 ? times.prompt_tokens / times.prompts : -1;
}

double Report::step_seconds(double quantile) const {
  std::vector<double> s = times.steps;
  if (s.empty()) return -1;
  std::sort(s.begin(), s.end());
  const double at = quantile * static_cast<double>(s.size() - 1);
  const auto low = static_cast<size_t>(at), high = std::min(low + 1, s.size() - 1);
  return s[low] + (at - static_cast<double>(low)) * (s[high] - s[low]);
}

double Report::gbytes_per_second() const {
  const double step = step_seconds(0.5);
  return step > 0 ? times.bytes_per_step / step / 1e9 : -1;
}

ordered_json to_json(const Request& request, const Completion& c, const Tokenizer& tokenizer) {
  ordered_json j = {{"prompt_ids", request.prompt},
                    {"generated_ids", c.ids},
                    {"text", c.text},
                    {"finish", std::string(name_of(c.finish))}};
  if (request.logprobs == 0) return j;
  auto token = [&](int32_t id, double logprob) {
    Utf8Stream characters;
    std::string text = characters.push(tokenizer.decode(id));
    text += characters.flush();
    return ordered_json{{"id", id}, {"text", text}, {"logprob", logprob}};
  };
  ordered_json all = ordered_json::array();
  for (size_t i = 0; i < c.logprobs.size(); ++i) {
    ordered_json entry = token(c.ids[i], c.logprobs[i].chosen), top = ordered_json::array();
    for (auto [id, logprob] : c.logprobs[i].top) top.push_back(token(id, logprob));
    entry["top"] = top;
    all.push_back(entry);
  }
  j["logprobs"] = all;
  return j;
}

ordered_json to_json(const Report& r, const Request& request, const Completion& c, const Tokenizer& tokenizer) {
  ordered_json j = {
      {"device", r.device}, {"dtype", std::string(name_of(r.dtype))}, {"plan", std::string(name_of(r.plan))}};
  j.update(to_json(request, c, tokenizer));
  j.update({
      {"prefill_tokens_per_second", number(r.prefill_tokens_per_second(), 1)},
      {"decode_ms_per_token", number(r.step_seconds(0.5), 1e3)},
      {"decode_ms_per_token_p90", number(r.step_seconds(0.9), 1e3)},
      {"bytes_per_token",
       r.times.steps.empty() ? ordered_json(nullptr) : ordered_json(std::llround(r.times.bytes_per_step))},
      {"decode_gbytes_per_second", number(r.gbytes_per_second(), 1)},
      {"read_gbytes_per_second", number(r.read_gbytes, 1)},
      {"load_ms", number(r.load_seconds, 1e3)},
      {"compile_ms", number(r.compile_seconds, 1e3)},
      {"first_token_ms", number(r.first_token_seconds, 1e3)},
      {"peak_memory_bytes", peak_memory_bytes()},
  });
  return j;
}

std::string describe(const Config& c) {
  // llm.c and others pad the vocabulary to a multiple of 128, and count the padding.
  const int64_t padding = (128 - c.vocab_size % 128) % 128;
  std::string text =
      fmt::format("max_seq_len: {}\nvocab_size: {}\nnum_layers: {}\nnum_heads: {}\nchannels: {}\ntotal_params: {}\n",
                  c.max_seq_len, c.vocab_size, c.num_layers, c.num_heads, c.channels, c.total_params());
  if (padding)
    text += fmt::format("total_params with the vocabulary padded to {}: {}\n", c.vocab_size + padding,
                        c.total_params() + padding * c.channels);
  return text;
}

std::string describe_memory(const Model& model) {
  const Config& c = model.config();
  const double L = c.num_layers, C = c.channels, size = size_of(model.options().dtype);
  std::string text = fmt::format("{:<22} {:>10} {:>10}\n", "memory, MiB", "f32", name_of(model.options().dtype));
  double total = 0;
  auto line = [&](const std::string& name, double elements) {
    text += fmt::format("  {:<20} {:>10.1f} {:>10.1f}\n", name, mebibytes(4 * elements), mebibytes(size * elements));
  };
  const double products[] = {L * 3 * C * C, L * C * C, L * 4 * C * C, L * 4 * C * C};
  const char* names[] = {"QKV", "attention projection", "FC", "FC projection"};
  for (int i = 0; i < 4; ++i) {
    line(names[i], products[i]);
    total += products[i];
  }
  line("matmul weights", total);
  line("embeddings", C * (c.vocab_size * (c.tied_head ? 1.0 : 2.0) + c.max_seq_len));
  text +=
      fmt::format("  {:<20} {:>10} {:>10.1f}\n", "KV cache", "", mebibytes(static_cast<double>(model.cache_bytes())));
  text += fmt::format("  {:<20} {:>10} {:>10.1f}\n", "activations", "",
                      mebibytes(static_cast<double>(model.activation_bytes())));
  return text;
}

std::string describe_times(const Report& r) {
  const Times& t = r.times;
  const double all = std::accumulate(t.steps.begin(), t.steps.end(), t.prompts), step = r.step_seconds(0.5);
  std::string out = fmt::format("{} tokens on {} in {}: {:.1f} ms", r.tokens, r.device, name_of(r.dtype), all * 1e3);
  if (r.tokens) out += fmt::format(", {:.2f} ms per token", all * 1e3 / r.tokens);
  if (t.prompts > 0)
    out += fmt::format("\n  prompt: {} tokens in {:.1f} ms, {:.0f} tokens/s", t.prompt_tokens, t.prompts * 1e3,
                       r.prefill_tokens_per_second());
  if (step > 0) {
    const double together = static_cast<double>(t.step_tokens) / static_cast<double>(t.steps.size());
    out += fmt::format("\n  decode: {:.2f} ms per {} (median; 90% within {:.2f}), {:.1f} MB read, {:.1f} GB/s",
                       step * 1e3, together > 1 ? fmt::format("step of {:.1f} tokens", together) : "token",
                       r.step_seconds(0.9) * 1e3, t.bytes_per_step / 1e6, r.gbytes_per_second());
    if (r.read_gbytes > 0)
      out += fmt::format(", {:.0f}% of what reading alone reaches ({:.1f})",
                         100 * r.gbytes_per_second() / r.read_gbytes, r.read_gbytes);
  }
  out += "\n  start:  ";
  if (r.first_token_seconds >= 0)
    out += fmt::format("first token after {:.0f} ms, of these ", r.first_token_seconds * 1e3);
  out += fmt::format("loading {:.0f} ms, compiling {:.0f} ms\n", r.load_seconds * 1e3, r.compile_seconds * 1e3);
  return out;
}

std::string describe_profile(const std::string& title, std::vector<CallTimes> calls, double wall_seconds) {
  std::stable_sort(calls.begin(), calls.end(), [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  std::string out = fmt::format("{}\n  {:<24} {:>7} {:>12} {:>10} {:>7} {:>8} {:>9}\n", title, "kernel", "calls",
                                "grid x block", "ms", "share", "GB/s", "GFLOP/s");
  double sum = 0;
  for (const CallTimes& c : calls) {
    sum += c.seconds;
    out += fmt::format("  {:<24} {:>7} {:>12} {:>10.3f} {:>6.1f}% {:>8} {:>9}\n", c.name, c.calls,
                       fmt::format("{} x {}", c.grid, c.block), c.seconds * 1e3, 100 * c.seconds / wall_seconds,
                       rate(c.work.bytes, c.seconds), rate(c.work.flops, c.seconds));
  }
  const bool device_clock = std::any_of(calls.begin(), calls.end(), [](const CallTimes& c) { return c.device_clock; });
  return out + fmt::format("  these account for {:.1f}% of {:.3f} ms; taken by the {}\n", 100 * sum / wall_seconds,
                           wall_seconds * 1e3,
                           device_clock ? "device's time stamps: a kernel without its launch"
                                        : "host's clock: a kernel with its launch and the wait for it");
}

size_t peak_memory_bytes() {
  // Not getrusage: its figure is at least that of the process which started this one.
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  return 0;
}

// Four streams side by side, as the kernels read weights.
__attribute__((always_inline)) static inline uint64_t sum_of_streams(const uint64_t* data, size_t words) {
  constexpr size_t kStreams = 4, kLine = 8;
  uint64_t sums[kStreams * kLine] = {};
  for (size_t i = 0; i + kLine <= words; i += kLine)
    for (size_t s = 0; s < kStreams; ++s)
      for (size_t k = 0; k < kLine; ++k) sums[s * kLine + k] += data[s * words + i + k];
  return std::accumulate(std::begin(sums), std::end(sums), uint64_t{0});
}
#if defined(__x86_64__)
// Not target_clones: what chooses among those runs before the sanitizers are there.
__attribute__((target("avx2"))) static uint64_t sum_with_avx2(const uint64_t* data, size_t words) {
  return sum_of_streams(data, words);
}
#endif
static uint64_t sum_of(const uint64_t* data, size_t words) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return sum_with_avx2(data, words);
#endif
  return sum_of_streams(data, words);
}

double read_speed(const Buffer& buffer, int threads) {
  constexpr int kRounds = 4;
  ThreadPool pool(threads);
  const size_t words = buffer.bytes() / sizeof(uint64_t) / static_cast<size_t>(threads) / 4;  // of a stream
  std::atomic<uint64_t> keep{0};
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    auto start = std::chrono::steady_clock::now();
    pool.run([&](int worker) {
      keep += sum_of(static_cast<const uint64_t*>(buffer.address()) + static_cast<size_t>(worker) * words * 4, words);
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, 32e-9 * static_cast<double>(words * static_cast<size_t>(threads)) / seconds);
  }
  return keep == 1 ? 0 : best;  // the sums are used
}

}  // namespace wavetile
