#include "models/gpt2/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "models/gpt2/cli.h"
#include "models/gpt2/utf8.h"
#include "wavetile_version.h"

namespace wavetile::cli {
namespace {

const char* const kExamples =
    "Examples:\n"
    "  gpt2-dsl-run                                              the demo model, from nothing\n"
    "  gpt2-dsl-run --prompt \"The old sailor\" --max-tokens 60\n"
    "  gpt2-dsl-run --prompt \"The old sailor\" --temperature 0.8 --top-k 40 --seed 7\n"
    "  gpt2-dsl-run --model gpt2/ --prompt-file - < story.txt    a Hugging Face directory, prompt from a pipe\n"
    "  gpt2-dsl-run --model gpt2_124M.bin --interactive          an llm.c checkpoint, line by line\n"
    "  gpt2-dsl-run --batch-file prompts.jsonl > texts.jsonl     many prompts, several at a time\n"
    "  gpt2-dsl-run --perplexity book.txt                        how well the model predicts a text\n"
    "  gpt2-dsl-run --json --profile 2> profile.txt              figures as JSON, kernels as a table\n"
    "  gpt2-dsl-run --plan unfused --no-cache --profile          one kernel an op, everything at each step\n";
const char* const kExitCodes =
    "Standard output is the text alone; the configuration, the times and all messages go to standard error.\n"
    "Exit codes: 0 done, 1 failure, 2 usage, 3 bad model file, 4 no such device, 130 interrupted (Ctrl-C ends the "
    "text\n"
    "and still prints the statistics).";

// A list of CPU features fills half a screen.
std::string without_features(const std::string& identity) {
  std::string text;
  std::istringstream words(identity);
  for (std::string word; words >> word;)
    if (word[0] != '+' && word[0] != '-') text += (text.empty() ? "" : " ") + word;
  return text;
}

// With a temperature so small that logits overflow, the draw would be among infinities.
std::string check_temperature(double t) {
  return t == 0 || t >= 1e-6 ? "" : fmt::format("{} is too small a temperature; take 0, or 1e-6 and more", t);
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (step.kind != Utf8::whole) return false;
    text.remove_prefix(step.length);
  }
  return true;
}

std::string version_text() {
  std::string text = fmt::format("gpt2-dsl-run {} ({})\ntargets: cpu, amdgpu\n", kVersion, kCommit);
  for (const DeviceInfo& d : Device::list()) text += fmt::format("{}: {}\n", d.name, without_features(d.target));
  return text;
}

std::string devices_text(bool verbose) {
  DevicePtr held;  // AMD's runtime is started once for both parts: driving a software model it cannot start again
  try {
    if (verbose) held = Device::open("hsa");
  } catch (const Error&) {  // the diagnosis says why
  }
  std::string text;
  for (const DeviceInfo& d : Device::list())
    text += fmt::format(
        "{}  {}, {:.1f} GiB, {}\n", d.name,
        d.product.empty() ? fmt::format("{} CPUs", d.cpus) : fmt::format("{}, {} CUs", d.product, d.compute_units),
        static_cast<double>(d.memory_bytes) / (1 << 30), without_features(d.target));
  return verbose ? text + "\n" + Device::diagnose() : text;
}

void add_sampling(CLI::App& app, Request& r) {
  const std::string group = "Choosing tokens";
  auto* greedy = app.add_flag_function(
                        "--greedy", [](std::int64_t) {}, "always take the likeliest token: the default")
                     ->group(group);
  auto finite = [](double low, double high) {
    return [=](const std::string& text) {
      char* end = nullptr;
      const double x = std::strtod(text.c_str(), &end);
      const bool ok = end != text.c_str() && *end == 0 && std::isfinite(x) && x >= low && x <= high;
      return ok ? std::string() : fmt::format("{} is not a number from {} to {}", text, low, high);
    };
  };
  app.add_option("--temperature", r.sampling.temperature, "divides the logits; 0: greedy")
      ->check(finite(0, 1000))
      ->capture_default_str()
      ->excludes(greedy)
      ->group(group);
  app.add_option("--top-k", r.sampling.top_k, "only the k likeliest tokens; 0: all")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str()
      ->group(group);
  app.add_option("--top-p", r.sampling.top_p, "only the likeliest tokens that reach this probability together; 1: all")
      ->check(finite(0, 1))
      ->capture_default_str()
      ->group(group);
  app.add_option("--min-p", r.sampling.min_p, "only tokens at least this share of the likeliest one's probability")
      ->check(finite(0, 1))
      ->capture_default_str()
      ->group(group);
  app.add_option("--repetition-penalty", r.sampling.repetition_penalty,
                 "above 1: tokens of the prompt and the text become less likely")
      ->check(finite(0.01, 100))
      ->capture_default_str()
      ->group(group);
  app.add_option("--seed", r.sampling.seed, "the same seed gives the same text, whatever else runs")
      ->capture_default_str()
      ->group(group);
}

}  // namespace

std::optional<Options> parse_options(int argc, char** argv) {
  Options o;
  Request& r = o.request;
  o.model = data_dir(kSourceDemoDir, kInstalledDemoDir);
  CLI::App app(std::string("Generates text with GPT-2, on kernels written in Wavetile's DSL.\n\n") + kExamples);
  app.footer(kExitCodes);
  auto named = [](const std::string& path) { return std::string(path.empty() ? "the name is empty" : ""); };

  const std::string what = "What to do";
  app.add_option("--model", o.model, "Hugging Face directory (config.json, model.safetensors), or llm.c's .bin file")
      ->capture_default_str()
      ->group(what);
  auto* prompt =
      app.add_option("--prompt", o.prompt, "text to continue; empty: <|endoftext|>, the start of a text")->group(what);
  auto* file =
      app.add_option("--prompt-file", o.prompt_file, "the same from a UTF-8 file, taken as it is; -: standard input")
          ->excludes(prompt)
          ->check(named)
          ->group(what);
  auto* batch =
      app.add_option("--batch-file", o.batch_file,
                     "JSON lines, each {\"prompt\": ...} and any of max_tokens temperature top_k top_p min_p "
                     "repetition_penalty seed stop ignore_eos logprobs; -: standard input. Prints JSON lines in "
                     "the same order")
          ->excludes(prompt)
          ->excludes(file)
          ->check(named)
          ->group(what);
  app.add_option("--batch-size", o.batch_size, "how many prompts of a batch file are worked on at a time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str()
      ->group(what);
  auto* interactive = app.add_flag("--interactive", o.interactive,
                                   "read lines from standard input, and continue the text after each of them")
                          ->excludes(file)
                          ->excludes(batch)
                          ->group(what);
  app.add_option(
         "--perplexity", o.perplexity,
         "how well the model predicts this UTF-8 file: mean negative log-likelihood and perplexity; -: standard input")
      ->excludes(prompt)
      ->excludes(file)
      ->excludes(batch)
      ->excludes(interactive)
      ->check(named)
      ->group(what);

  const std::string length = "Where a text ends";
  app.add_option("--max-tokens", r.max_tokens, "how many tokens to generate")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str()
      ->group(length);
  app.add_option("--stop", r.stop, "end the text before this string; may be given several times")
      ->check([](const std::string& s) {
        return std::string(s.empty() ? "a stop string is empty" : is_utf8(s) ? "" : "a stop string is not valid UTF-8");
      })
      ->allow_extra_args(false)
      ->group(length);
  app.add_flag("--ignore-eos", r.ignore_end, "go on after <|endoftext|>")->group(length);
  const std::map<std::string, ContextPolicy> policies{{"stop", ContextPolicy::stop}, {"slide", ContextPolicy::slide}};
  app.add_option(
         "--context-policy", r.policy,
         "when all positions are taken: stop ends the text, slide goes on as a new run on the last half of it would")
      ->transform(CLI::CheckedTransformer(policies))
      ->default_str("stop")
      ->type_name("stop|slide")
      ->group(length);
  add_sampling(app, r);

  const std::string how = "How it is computed";
  app.add_option("--device", o.device,
                 "cpu; hsa, hsa:0, ...: an AMD GPU; hsa:emulated: the emulator of one, chosen by WAVETILE_EMULATOR")
      ->capture_default_str()
      ->group(how);
  app.add_option("--dtype", o.dtype,
                 "type of the weights and of the KV cache: f32, bf16 or f16; sums are f32 in all of them. bf16 is the "
                 "default: half of f32's memory traffic, and every token of the reference texts comes out the same")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->capture_default_str()
      ->group(how);
  app.add_option("--threads", o.threads, "worker threads; default: one for each CPU that the process may use")
      ->check(CLI::Range(1, 1024))
      ->group(how);
  const std::map<std::string, PlanKind> plans{{"fused", PlanKind::fused}, {"unfused", PlanKind::unfused}};
  app.add_option("--plan", o.plan, "unfused: one kernel an op, as in a first implementation")
      ->transform(CLI::CheckedTransformer(plans))
      ->default_str("fused")
      ->type_name("fused|unfused")
      ->group(how);
  app.add_flag("--no-cache", o.no_cache,
               "compute all positions again at each step; --context is 64 then, or what the model has if that is less")
      ->group(how);
  app.add_option("--context", o.context, "positions of a text; default: as many as the model has")
      ->check(CLI::Range(1, 1 << 20))
      ->group(how);
  app.add_flag("--no-kernel-cache", o.no_kernel_cache, "compile every kernel, and keep none for the next run")
      ->group(how);
  app.add_option(
         "--verify", o.verify_steps,
         "check every kernel of the prompt and of the first N steps (1, unless given) against the IR's interpreter")
      ->expected(0, 1)
      ->default_str("1")
      ->check(CLI::Range(1, 1 << 20))
      ->group(how);

  const std::string told = "What is told";
  app.add_flag("--json", o.json, "print one JSON object with the text, the ids and the figures")
      ->excludes(interactive)
      ->group(told);
  auto* logprobs = app.add_option("--logprobs", r.logprobs,
                                  "with --json: log-probabilities of each token and of the N likeliest ones")
                       ->check(CLI::Range(1, 1000))
                       ->group(told);
  app.add_option("--logits", o.logits, "write the logits after the prompt to this file: f32, one a token")
      ->check(named)
      ->group(told);
  app.add_flag("--profile", o.profile, "print a table of kernels: calls, grid, time, share, GB/s, GFLOP/s")
      ->group(told);
  app.add_option("--dump", o.dump, "write every stage of every kernel's compilation to this directory")
      ->check(named)
      ->group(told);
  app.add_flag("--quiet,-q", o.quiet, "nothing but the text, and errors")->group(told);
  bool version = false, devices = false, verbose = false;
  auto* list = app.add_flag("--list-devices", devices, "print the devices that --device takes")->group(told);
  app.add_flag("--verbose,-v", verbose,
               "with --list-devices: what of AMD's runtime is there, what is missing, what to do")
      ->needs(list)
      ->group(told);
  app.add_flag("--version", version, "print version, commit, LLVM and targets")->group(told);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    print_text(app.help());
    return {};
  }
  if (version) print_text(version_text());
  if (devices) print_text(devices_text(verbose));
  if (version || devices) return {};
  if (app.count("--verify") && o.verify_steps == 0) o.verify_steps = 1;
  if (logprobs->count() && !o.json && o.batch_file.empty())
    throw Failure{kUsage, "--logprobs: the text alone has no place for them; give --json too; see --help"};
  if (!o.logits.empty() && (o.interactive || !o.batch_file.empty() || !o.perplexity.empty()))
    throw Failure{kUsage, "--logits: these are the logits of one prompt; give --prompt or --prompt-file; see --help"};
  if (const std::string wrong = check_temperature(r.sampling.temperature); !wrong.empty())
    throw Failure{kUsage, fmt::format("--temperature: {}; see --help", wrong)};
  return o;
}

namespace {

using nlohmann::json;

template <class T>
void take(const json& object, const char* key, double low, double high, const std::string& where, T& to) {
  auto it = object.find(key);
  if (it == object.end()) return;
  const bool whole = std::is_integral_v<T>;
  if (!(whole ? it->is_number_integer() : it->is_number()) || it->get<double>() < low || it->get<double>() > high)
    throw Failure{kUsage, fmt::format("{}: {} is {}; it must be {} from {} to {}", where, key,
                                      it->dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 40),
                                      whole ? "a whole number" : "a number", low, high)};
  to = it->get<T>();
}

}  // namespace

Request parse_request(const std::string& line, const std::string& where, const Request& defaults, std::string& prompt) {
  Request r = defaults;
  const json object = json::parse(line, nullptr, false);
  auto fail = [&](const std::string& text) { throw Failure{kUsage, where + ": " + text}; };
  if (!object.is_object()) fail("not a JSON object; each line is one, like {\"prompt\": \"The old sailor\"}");
  static const std::vector<std::string> known{"prompt",  "max_tokens",         "temperature", "top_k", "top_p",
                                              "min_p",   "repetition_penalty", "seed",        "stop",  "ignore_eos",
                                              "logprobs"};
  for (const auto& [key, value] : object.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      fail(fmt::format("unknown field {}; there are {}", json(key).dump(-1, ' ', true, json::error_handler_t::replace),
                       fmt::join(known, " ")));
  if (!object.contains("prompt") || !object["prompt"].is_string()) fail("prompt is missing, or not a string");
  prompt = object["prompt"].get<std::string>();
  take(object, "max_tokens", 0, 1e6, where, r.max_tokens);
  take(object, "temperature", 0, 1000, where, r.sampling.temperature);
  if (const std::string wrong = check_temperature(r.sampling.temperature); !wrong.empty())
    fail("temperature: " + wrong);
  take(object, "top_k", 0, 1 << 30, where, r.sampling.top_k);
  take(object, "top_p", 0, 1, where, r.sampling.top_p);
  take(object, "min_p", 0, 1, where, r.sampling.min_p);
  take(object, "repetition_penalty", 0.01, 100, where, r.sampling.repetition_penalty);
  if (auto it = object.find("seed"); it != object.end()) {
    if (!it->is_number_unsigned()) fail("seed is not a whole number from 0 to 2^64 - 1");
    r.sampling.seed = it->get<uint64_t>();
  }
  take(object, "logprobs", 0, 1000, where, r.logprobs);
  if (auto it = object.find("ignore_eos"); it != object.end()) {
    if (!it->is_boolean()) fail("ignore_eos is not true or false");
    r.ignore_end = it->get<bool>();
  }
  if (auto it = object.find("stop"); it != object.end()) {
    const json all = it->is_string() ? json::array({*it}) : *it;
    if (!all.is_array()) fail("stop is not a string or an array of strings");
    r.stop.clear();
    for (const json& s : all) {
      if (!s.is_string() || s.get_ref<const std::string&>().empty())
        fail("stop has an entry that is not a string, or empty");
      r.stop.push_back(s.get<std::string>());
    }
  }
  return r;
}

}  // namespace wavetile::cli
