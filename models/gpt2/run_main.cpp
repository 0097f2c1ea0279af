// gpt2-dsl-run: one text, a batch of texts, a conversation, or the perplexity of a file.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <numeric>

#include "models/gpt2/cli.h"
#include "models/gpt2/options.h"
#include "models/gpt2/progress.h"
#include "models/gpt2/report.h"
#include "models/gpt2/tokenizer.h"
#include "wavetile_version.h"

namespace wavetile::cli {
namespace {

std::atomic<bool> interrupted{false};

// The first Ctrl-C ends the text, a second one the program. Reads of lines are not restarted, so that it ends them too.
void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
}

class Run {
 public:
  explicit Run(const Options& o) : options_(o) {}

  int text();
  int batch();
  int interactive();
  int perplexity();

 private:
  using Clock = std::chrono::steady_clock;
  double since_start() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  void note(const std::string& text) const {
    if (!options_.quiet) print_note(text);
  }
  // What all modes begin with. The files come first: a wrong one is told before anything is compiled.
  void open_files();
  void open_model(int sequences, size_t longest_prompt);
  std::vector<int32_t> encode(std::string text, const std::string& what) const;
  int context() const {
    const int most = checkpoint_->config().max_seq_len;
    return options_.context ? options_.context : options_.no_cache ? std::min(64, most) : most;
  }
  template <class F>
  auto generating(F&& f) {  // damaged weights show in the logits
    try {
      return f();
    } catch (const BadLogits& e) {
      throw Failure{kBadModel, fmt::format("{}: {}", options_.model, e.what())};
    }
  }
  void told_first() {
    if (report_.first_token_seconds < 0) report_.first_token_seconds = since_start();
  }
  void fill_report(const Times& times, int tokens);
  void print_statistics();
  void print_profile() const;

  const Options& options_;
  const Clock::time_point start_ = Clock::now();
  DevicePtr device_;
  std::optional<Checkpoint> checkpoint_;
  std::optional<Tokenizer> tokenizer_;
  std::unique_ptr<Model> model_;
  Report report_;
  double files_seconds_ = 0;
};

DType dtype_of(const std::string& name) {
  return name == "f32" ? DType::f32 : name == "bf16" ? DType::bf16 : DType::f16;
}

void Run::open_files() {
  device_ = stage(kNoDevice, [&] { return Device::open(options_.device, {.threads = options_.threads, .level = {}}); });
  const double before = since_start();
  stage(kBadModel, [&] { checkpoint_.emplace(options_.model); });
  tokenizer_ =
      stage(kBadModel, [&] { return Tokenizer::load(options_.model, data_dir(kSourceVocabDir, kInstalledVocabDir)); });
  files_seconds_ = since_start() - before;
  const int positions = checkpoint_->config().max_seq_len;
  if (options_.context > positions)
    throw Failure{kUsage, fmt::format("--context {}: the model has {} positions", options_.context, positions)};
}

void Run::open_model(int sequences, size_t longest_prompt) {
  note(describe(checkpoint_->config()));
  std::optional<Progress> bar;
  if (!options_.quiet) bar.emplace("loading");
  try {
    model_ = std::make_unique<Model>(*checkpoint_, device_,
                                     ModelOptions{.dtype = dtype_of(options_.dtype),
                                                  .plan = options_.plan,
                                                  .sequences = sequences,
                                                  .context = context(),
                                                  .cache = !options_.no_cache,
                                                  .dump = DumpTo{options_.dump},
                                                  .kernels = {.enabled = !options_.no_kernel_cache},
                                                  .progress = bar ? bar->callback() : std::function<void(double)>()});
  } catch (const BadWeights& e) {
    throw Failure{kBadModel, e.what()};
  }
  bar.reset();
  model_->profile(options_.profile);
  model_->verify(options_.verify_steps);
  model_->prepare(static_cast<int>(longest_prompt));  // so that the table has its memory
  note(describe_memory(*model_));
  if (const std::string problem = model_->kernel_cache().problem; !problem.empty())
    note(fmt::format("compiled kernels are not kept: {}\n", problem));
}

std::vector<int32_t> Run::encode(std::string text, const std::string& what) const {
  if (text.empty()) text = Tokenizer::kEndOfText;
  std::vector<int32_t> ids;
  try {
    ids = tokenizer_->encode(text);
  } catch (const Error& e) {
    throw Failure{kUsage, what.empty() ? e.what() : fmt::format("{}: {}", what, e.what())};
  }
  for (int32_t id : ids)
    if (id >= checkpoint_->config().vocab_size)
      throw Failure{kBadModel, fmt::format("the prompt has token {} and the model's vocab_size is {}: its vocabulary "
                                           "files belong to another model",
                                           id, checkpoint_->config().vocab_size)};
  return ids;
}

// A prompt fills the context at most.
void check_length(size_t tokens, int context, const std::string& where) {
  if (tokens > static_cast<size_t>(context))
    throw Failure{kUsage, fmt::format("{}the prompt has {} tokens and there are {} positions; shorten the prompt",
                                      where, tokens, context)};
}

void Run::fill_report(const Times& times, int tokens) {
  report_.device = device_->name();
  report_.dtype = model_->options().dtype;
  report_.plan = options_.plan;
  report_.times = times;
  report_.tokens = tokens;
  report_.load_seconds = files_seconds_ + model_->load_seconds();
  report_.compile_seconds = model_->compile_seconds();
  // What the host's threads reach says nothing about a GPU, whose memory they may not even see.
  if ((!options_.quiet || options_.json) && !times.steps.empty() && device_->info().cpus > 0)
    report_.read_gbytes = read_speed(*model_->weights().buffer, device_->threads());
}

void Run::print_statistics() {
  note(describe_times(report_));
  if (options_.profile) print_profile();
}

void Run::print_profile() const {
  const Times& t = report_.times;
  double steps = std::accumulate(t.steps.begin(), t.steps.end(), 0.0);
  size_t count = t.steps.size();
  const auto prompt = model_->prompt_times();
  if (options_.no_cache) {
    print_note(describe_profile(
        fmt::format("{} passes over {} positions, {} plan", count + 1, model_->context(), name_of(options_.plan)),
        model_->times(), steps + t.prompts));
    return;
  }
  if (!prompt.empty() && model_->sequences() == 1) {
    print_note(describe_profile(fmt::format("Prompt of {} tokens, {} plan", t.prompt_tokens, name_of(options_.plan)),
                                prompt, t.prompts));
  } else if (model_->sequences() == 1) {  // A prompt of one token is read by a decode step.
    steps += t.prompts;
    ++count;
  }
  if (count)
    print_note(describe_profile(fmt::format("{} decode steps, {} plan", count, name_of(options_.plan)), model_->times(),
                                steps));
}

int Run::text() {
  std::string prompt =
      options_.prompt_file.empty() ? options_.prompt : read_file(options_.prompt_file, "--prompt-file");
  ResultFile logits(options_.logits, "logits", "--logits");
  open_files();
  Request request = options_.request;
  request.prompt = encode(prompt, "");
  check_length(request.prompt.size(), context(), "");
  request.keep_logits = !options_.logits.empty();
  open_model(1, request.prompt.size());
  Generator generator(*model_, *tokenizer_, &interrupted);
  const auto completions = generating([&] {
    return generator.run({request}, [&](size_t, std::string_view text) {
      told_first();
      if (!options_.json) print_text(text);
    });
  });
  const Completion& c = completions[0];
  if (!c.ids.empty()) told_first();
  if (!c.prompt_logits.empty())
    logits.write({reinterpret_cast<const char*>(c.prompt_logits.data()), c.prompt_logits.size() * sizeof(float)});
  fill_report(generator.times(), static_cast<int>(c.ids.size()));
  if (options_.json) print_text(to_json(report_, request, c, *tokenizer_).dump() + "\n");
  if (!options_.json && isatty(STDOUT_FILENO)) note("\n");
  if (c.finish == Finish::context)
    note(fmt::format("stopped after {} tokens: all {} positions are taken; --context-policy slide goes on\n",
                     c.ids.size(), context()));
  print_statistics();
  return c.finish == Finish::interrupted ? kInterrupted : 0;
}

int Run::batch() {
  const std::string name = options_.batch_file == "-" ? "standard input" : options_.batch_file;
  const std::string lines = read_file(options_.batch_file, "--batch-file");
  open_files();
  std::vector<Request> requests;
  int number = 0;
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = std::min(lines.find('\n', begin), lines.size());
    const std::string line = lines.substr(begin, end - begin), where = fmt::format("{}:{}", name, ++number);
    begin = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    std::string prompt;
    requests.push_back(parse_request(line, where, options_.request, prompt));
    requests.back().prompt = encode(prompt, where);
    check_length(requests.back().prompt.size(), context(), where + ": ");
  }
  if (requests.empty()) return 0;
  size_t longest = 0;
  for (const Request& r : requests) longest = std::max(longest, r.prompt.size());
  open_model(std::min(options_.batch_size, static_cast<int>(requests.size())), longest);
  Generator generator(*model_, *tokenizer_, &interrupted);
  // Results come in the order of the prompts, each as soon as those before it are there.
  std::vector<std::string> done(requests.size());
  size_t printed = 0;
  int tokens = 0;
  auto on_done = [&](size_t r, const Completion& c) {
    done[r] = to_json(requests[r], c, *tokenizer_).dump() + "\n";
    tokens += static_cast<int>(c.ids.size());
    for (; printed < done.size() && !done[printed].empty(); ++printed) print_text(done[printed]);
  };
  generating([&] {
    return generator.run(
        requests, [&](size_t, std::string_view) { told_first(); }, on_done);
  });
  fill_report(generator.times(), tokens);
  print_statistics();
  return interrupted ? kInterrupted : 0;
}

int Run::interactive() {
  open_files();
  open_model(1, 1);
  Generator generator(*model_, *tokenizer_, &interrupted);
  const bool terminal = isatty(STDIN_FILENO) != 0;
  char* line = nullptr;
  size_t room = 0;
  int tokens = 0, code = 0;
  bool unread = false;  // the text's last token has been chosen and not been read
  std::string prompt = options_.prompt;
  for (bool first = true;; first = false) {
    if (!first || prompt.empty()) {
      if (terminal) note("> ");
      ssize_t n = getline(&line, &room, stdin);
      if (n < 0) break;
      if (n > 0 && line[n - 1] == '\n') --n;
      prompt.assign(line, static_cast<size_t>(n));
    }
    Request request = options_.request;
    request.continues = true;
    // An empty line goes on with what is there.
    if (!prompt.empty() || model_->position() == 0) {
      try {
        request.prompt = encode(prompt, "");
      } catch (const Failure& f) {  // of a line; the conversation goes on
        if (f.code != kUsage) throw;
        print_note(fmt::format("gpt2-dsl-run: {}\n", f.text));
        prompt.clear();
        continue;
      }
    }
    if (request.prompt.empty() && !unread) continue;
    const size_t needed = static_cast<size_t>(model_->position()) + (unread ? 1 : 0) + request.prompt.size();
    const auto positions = static_cast<size_t>(context());
    if (needed > positions && (request.policy == ContextPolicy::stop || request.prompt.size() > positions / 2)) {
      note(fmt::format("{} tokens do not fit into {} positions; --context-policy slide goes on with shorter lines\n",
                       needed, positions));
      break;
    }
    const auto completions = generating([&] {
      return generator.run({request}, [&](size_t, std::string_view text) {
        told_first();
        print_text(text);
      });
    });
    unread = !completions[0].ids.empty();
    print_text("\n");
    tokens += static_cast<int>(completions[0].ids.size());
    if (completions[0].finish == Finish::context)
      note(fmt::format("all {} positions are taken; --context-policy slide goes on\n", context()));
    if (interrupted || completions[0].finish == Finish::context) break;
  }
  if (interrupted) code = kInterrupted;
  std::free(line);
  fill_report(generator.times(), tokens);
  if (!report_.times.prompts) return code;
  print_statistics();
  return code;
}

int Run::perplexity() {
  const std::string text = read_file(options_.perplexity, "--perplexity");
  open_files();
  std::vector<int32_t> ids{tokenizer_->end_of_text()};
  if (!text.empty()) {
    const auto rest = encode(text, options_.perplexity);
    ids.insert(ids.end(), rest.begin(), rest.end());
  }
  const auto window = static_cast<size_t>(context());
  if (ids.size() < 2)
    throw Failure{kUsage, options_.perplexity + ": there is nothing to predict; give --perplexity a text"};
  if (options_.no_cache)
    throw Failure{kUsage, "--perplexity and --no-cache do not go together: every window is computed once"};
  open_model(1, std::min(window, ids.size() - 1));
  double sum = 0;
  size_t count = 0;
  std::vector<double> windows;  // means
  // Windows of inputs; each predicts the token after it, so that the last target of one is the first input of the next.
  for (size_t first = 0; first + 1 < ids.size() && !interrupted; first += window) {
    const size_t n = std::min(window, ids.size() - 1 - first);
    double of_window = 0;
    for (double loss : model_->losses(std::span(ids).subspan(first, n), std::span(ids).subspan(first + 1, n))) {
      if (!std::isfinite(loss))
        throw Failure{kBadModel, fmt::format("{}: the loss of token {} is not a number: the weights are damaged, or "
                                             "too large for the compute type; try --dtype f32",
                                             options_.model, count + 1)};
      sum += loss;
      ++count;
      of_window += loss;
    }
    windows.push_back(of_window / static_cast<double>(n));
    if (!options_.quiet && isatty(STDERR_FILENO))
      print_note(fmt::format("\r{} of {} tokens, perplexity {:.3f} ", count, ids.size() - 1,
                             std::exp(sum / static_cast<double>(count))));
  }
  if (!options_.quiet && isatty(STDERR_FILENO)) print_note("\r\x1b[K");
  if (count == 0) return kInterrupted;
  const double mean = sum / static_cast<double>(count);
  if (options_.json)
    print_text(nlohmann::ordered_json{{"device", device_->name()},
                                      {"dtype", options_.dtype},
                                      {"plan", std::string(name_of(options_.plan))},
                                      {"tokens", count},
                                      {"windows", windows},
                                      {"mean_negative_log_likelihood", mean},
                                      {"perplexity", std::exp(mean)}}
                   .dump() +
               "\n");
  else
    print_text(fmt::format("tokens: {}\nmean negative log-likelihood: {:.6f}\nperplexity: {:.4f}\n", count, mean,
                           std::exp(mean)));
  return interrupted ? kInterrupted : 0;
}

int body(int argc, char** argv) {
  const auto options = parse_options(argc, argv);
  if (!options) return 0;
  catch_interrupts();
  Run run(*options);
  if (!options->batch_file.empty()) return run.batch();
  if (options->interactive) return run.interactive();
  if (!options->perplexity.empty()) return run.perplexity();
  return run.text();
}

}  // namespace
}  // namespace wavetile::cli

int main(int argc, char** argv) { return wavetile::cli::run_program("gpt2-dsl-run", wavetile::cli::body, argc, argv); }
