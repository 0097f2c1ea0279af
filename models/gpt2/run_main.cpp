// gpt2-dsl-run. Standard output carries the text alone (or with --json one object alone); everything else goes to
// standard error. Every failure is one line there and an exit code that --help lists.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <sstream>
#include <utility>

#include "models/gpt2/report.h"
#include "models/gpt2/tokenizer.h"
#include "wavetile_version.h"

namespace wavetile {
namespace {

namespace fs = std::filesystem;

enum ExitCode { kFailure = 1, kUsage = 2, kBadModel = 3, kNoDevice = 4 };

struct Failure {
  ExitCode code;
  std::string text;
};

// The reader of standard output has gone: nobody is left to tell.
struct ClosedPipe {};

struct Options {
  std::string model, prompt, prompt_file, device = "cpu", dtype = "bf16", logits, dump;
  int max_tokens = 20, threads = 0;
  bool greedy = false, json = false, profile = false;
};

const char* const kExamples =
    "Examples:\n"
    "  gpt2-dsl-run                                              the demo model, from nothing\n"
    "  gpt2-dsl-run --prompt \"The old sailor\" --max-tokens 60\n"
    "  gpt2-dsl-run --model gpt2/ --prompt-file - < story.txt    a Hugging Face directory, prompt from a pipe\n"
    "  gpt2-dsl-run --json --profile 2> profile.txt              figures as JSON, kernels as a table\n";
const char* const kExitCodes =
    "Standard output is the text alone; the configuration, the times and all messages go to standard error.\n"
    "Exit codes: 0 done, 1 failure, 2 usage, 3 bad model file, 4 no such device.";

// The files that come with the program: in the source tree it was built from, else where it was installed.
fs::path data_dir(const char* source, const char* installed) {
  std::error_code ignored;
  return fs::exists(source, ignored) ? source : installed;
}

// Unbuffered: what is returned from is written, and an error is that of this text.
void write_all(int fd, std::string_view bytes, const std::string& what) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) throw ClosedPipe{};
    if (n < 0)
      throw Failure{kFailure, fmt::format("cannot write to {}: {}; free some space or write elsewhere", what,
                                          std::strerror(errno))};
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

void print_text(std::string_view text) { write_all(STDOUT_FILENO, text, "standard output"); }

void print_note(std::string_view text) {
  try {
    write_all(STDERR_FILENO, text, "standard error");
  } catch (...) {  // There is nowhere left to say so.
  }
}

std::string version_text() {
  std::string text = fmt::format("gpt2-dsl-run {} ({})\ncpu:", kVersion, kCommit);
  std::istringstream target(identity_of(Device::open("cpu", {.threads = 1, .level = {}})->target()));
  for (std::string word; target >> word;)
    if (word[0] != '+' && word[0] != '-') text += " " + word;  // a list of CPU features fills half a screen
  return text + "\n";
}

/// Nothing if the program is done (--help, --version); throws CLI::ParseError.
std::optional<Options> parse(int argc, char** argv) {
  Options o;
  o.model = data_dir(kSourceDemoDir, kInstalledDemoDir);
  CLI::App app(std::string("Generates text with GPT-2, on kernels written in Wavetile's DSL.\n\n") + kExamples);
  app.footer(kExitCodes);
  app.add_option("--model", o.model, "Hugging Face directory: config.json, model.safetensors")->capture_default_str();
  auto named = [](const std::string& path) { return std::string(path.empty() ? "the name is empty" : ""); };
  auto* prompt = app.add_option("--prompt", o.prompt, "text to continue; empty: <|endoftext|>, the start of a text");
  app.add_option("--prompt-file", o.prompt_file, "the same from a UTF-8 file, taken as it is; -: standard input")
      ->excludes(prompt)
      ->check(named);
  app.add_option("--max-tokens", o.max_tokens, "how many tokens to generate")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  app.add_flag("--greedy", o.greedy, "always take the likeliest token (the only way so far)");
  app.add_option("--device", o.device, "cpu")->capture_default_str();
  app.add_option("--dtype", o.dtype,
                 "type of the weights and of the KV cache: f32, bf16 or f16; sums are f32 in all of them. bf16 is the "
                 "default: half of f32's memory traffic, and every token of the reference texts comes out the same")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->capture_default_str();
  app.add_option("--threads", o.threads, "worker threads; default: one for each CPU that the process may use")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--json", o.json, "print one JSON object with the text, the ids and the figures");
  app.add_option("--logits", o.logits, "write the logits after the prompt to this file: f32, one a token")
      ->check(named);
  app.add_option("--dump", o.dump, "write every stage of every kernel's compilation to this directory")->check(named);
  app.add_flag("--profile", o.profile, "print a table of kernels: calls, grid, time, share, GB/s, GFLOP/s");
  bool version = false;
  app.add_flag("--version", version, "print version, commit and what the kernels are compiled for");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    print_text(app.help());
    return {};
  }
  if (version) {
    print_text(version_text());
    return {};
  }
  return o;
}

DType dtype_of(const std::string& name) {
  return name == "f32" ? DType::f32 : name == "bf16" ? DType::bf16 : DType::f16;
}

class LogitsFile {
 public:
  explicit LogitsFile(const std::string& path) : path_(path) {
    if (path.empty()) return;
    fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd_ < 0) fail(kUsage);
  }
  ~LogitsFile() {
    if (fd_ >= 0) close(fd_);
  }
  LogitsFile(const LogitsFile&) = delete;

  void write(const std::vector<float>& logits) {
    if (fd_ < 0) return;
    write_all(fd_, {reinterpret_cast<const char*>(logits.data()), logits.size() * sizeof(float)}, path_);
    int fd = std::exchange(fd_, -1);
    if (close(fd) != 0) fail(kFailure);
  }

 private:
  [[noreturn]] void fail(ExitCode code) const {
    throw Failure{code, fmt::format("{}: cannot write the logits: {}; give --logits a file that can be written", path_,
                                    std::strerror(errno))};
  }
  std::string path_;
  int fd_ = -1;
};

std::string read_prompt(const Options& o) {
  if (o.prompt_file.empty()) return o.prompt;
  std::string path = o.prompt_file == "-" ? "/dev/stdin" : o.prompt_file;
  std::string name = o.prompt_file == "-" ? "standard input" : o.prompt_file;
  int fd = o.prompt_file == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::string text;
  char block[1 << 16];
  ssize_t n = fd < 0 ? -1 : 1;
  while (n > 0) {
    n = ::read(fd, block, sizeof block);
    if (n < 0 && errno == EINTR)
      n = 1;
    else if (n > 0)
      text.append(block, static_cast<size_t>(n));
  }
  int error = errno;
  if (fd >= 0) close(fd);
  if (n < 0)
    throw Failure{kUsage, fmt::format("{}: cannot read the prompt: {}; give --prompt-file a UTF-8 file, or - for "
                                      "standard input",
                                      name, std::strerror(error))};
  return text;
}

// Runs a part of the program in which an Error means one exit code.
template <class F>
auto stage(ExitCode code, F&& f) {
  try {
    return f();
  } catch (const Error& e) {
    throw Failure{code, e.what()};
  }
}

std::vector<int32_t> encode_prompt(const Tokenizer& tokenizer, std::string text, const Config& config) {
  if (text.empty()) text = Tokenizer::kEndOfText;
  auto ids = stage(kUsage, [&] { return tokenizer.encode(text); });
  if (static_cast<int64_t>(ids.size()) > config.max_seq_len)
    throw Failure{kUsage, fmt::format("the prompt has {} tokens and the model {} positions; shorten the prompt",
                                      ids.size(), config.max_seq_len)};
  for (int32_t id : ids)
    if (id >= config.vocab_size)
      throw Failure{kBadModel, fmt::format("the prompt has token {} and the model's vocab_size is {}: its vocabulary "
                                           "files belong to another model",
                                           id, config.vocab_size)};
  return ids;
}

void print_profile(const Model& model, const Report& r) {
  const Generation& g = r.generation;
  double steps = std::accumulate(g.step_seconds.begin(), g.step_seconds.end(), 0.0);
  size_t count = g.step_seconds.size();
  if (r.prompt_ids.size() > 1) {
    print_note(describe_profile(fmt::format("Prompt of {} tokens", r.prompt_ids.size()), model.prompt_times(),
                                g.prompt_seconds));
  } else {  // A prompt of one token is read by a decode step.
    steps += g.prompt_seconds;
    ++count;
  }
  if (count) print_note(describe_profile(fmt::format("{} decode steps", count), model.times(), steps));
}

void print_results(const Options& o, const Model& model, const Report& r) {
  if (o.json) print_text(to_json(r).dump() + "\n");
  if (!o.json && isatty(STDOUT_FILENO)) print_note("\n");
  if (r.generation.positions_exhausted)
    print_note(fmt::format("stopped after {} tokens: all {} positions of the model are taken\n",
                           r.generation.ids.size(), model.config().max_seq_len));
  print_note(describe_times(r));
  if (o.profile) print_profile(model, r);
}

void run(const Options& o) {
  using clock = std::chrono::steady_clock;
  auto start = clock::now();
  auto since_start = [&] { return std::chrono::duration<double>(clock::now() - start).count(); };

  std::string prompt = read_prompt(o);
  LogitsFile logits(o.logits);
  DevicePtr device = stage(kNoDevice, [&] { return Device::open(o.device, {.threads = o.threads, .level = {}}); });
  auto load_start = since_start();
  Checkpoint checkpoint = stage(kBadModel, [&] { return Checkpoint(o.model); });
  Tokenizer tokenizer =
      stage(kBadModel, [&] { return Tokenizer::load(o.model, data_dir(kSourceVocabDir, kInstalledVocabDir)); });
  Report r;
  r.prompt_ids = encode_prompt(tokenizer, prompt, checkpoint.config());
  print_note(describe(checkpoint.config()));
  double files_seconds = since_start() - load_start;

  Model model(checkpoint, device, dtype_of(o.dtype), DumpTo{o.dump});
  model.profile(o.profile);
  Utf8Stream characters;
  auto emit = [&](const std::string& text) {
    r.text += text;
    if (!o.json) print_text(text);
  };
  try {
    r.generation = generate(model, r.prompt_ids, o.max_tokens, [&](int32_t id) {
      if (r.first_token_seconds < 0) r.first_token_seconds = since_start();
      emit(characters.push(tokenizer.decode(id)));
    });
  } catch (const BadLogits& e) {
    throw Failure{kBadModel, fmt::format("{}: {}", o.model, e.what())};
  }
  emit(characters.flush());

  r.device = device->name();
  r.dtype = dtype_of(o.dtype);
  r.load_seconds = files_seconds + model.load_seconds();
  r.compile_seconds = model.compile_seconds();
  logits.write(r.generation.prompt_logits);
  print_results(o, model, r);
}

// A file opened later must not become one of the standard streams.
void fill_standard_streams() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(fd, F_GETFD) == -1) (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int fail(ExitCode code, const std::string& text) {
  print_note(fmt::format("gpt2-dsl-run: {}\n", text));
  return code;
}

}  // namespace
}  // namespace wavetile

int main(int argc, char** argv) {
  using namespace wavetile;
  fill_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);
  try {
    if (auto options = parse(argc, argv)) run(*options);
    return 0;
  } catch (const CLI::ParseError& e) {
    return fail(kUsage, fmt::format("{}; see --help", e.what()));
  } catch (const Failure& f) {
    return fail(f.code, f.text);
  } catch (const ClosedPipe&) {
    return 0;
  } catch (const std::bad_alloc&) {
    return fail(kFailure, "out of memory; use a smaller model, or --dtype bf16");
  } catch (const std::exception& e) {
    return fail(kFailure, e.what());
  }
}
