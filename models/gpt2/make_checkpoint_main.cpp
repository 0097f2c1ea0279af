// gpt2-dsl-make-checkpoint: random checkpoints of the published sizes, and conversions between the two formats.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <fstream>
#include <optional>
#include <sstream>

#include "dsl/error.h"
#include "models/gpt2/checkpoint_writer.h"
#include "models/gpt2/cli.h"
#include "models/gpt2/progress.h"
#include "models/gpt2/vocabulary.h"
#include "wavetile_version.h"

namespace wavetile::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string size, from, format = "hf", dtype, out;
  int64_t seed = 1;
  bool force = false;
};

volatile std::sig_atomic_t interrupted = 0;

const char* const kExamples =
    "Examples:\n"
    "  gpt2-dsl-make-checkpoint --size 124M --out gpt2-random/                    random weights, f32, Hugging Face\n"
    "  gpt2-dsl-make-checkpoint --size 1558M --seed 7 --dtype bf16 --out big/     another size, seed and type\n"
    "  gpt2-dsl-make-checkpoint --from gpt2/ --format llmc --out gpt2_124M.bin    for llm.c\n"
    "  gpt2-dsl-make-checkpoint --from gpt2_124M.bin --out gpt2/                  and back\n";
const char* const kNotes =
    "Rounding to 16 bits is to nearest even. NaN and infinity stay what they are; a finite weight that the type "
    "cannot\n"
    "hold (f16 ends at 65504) is an error. The vocabulary of the source, else GPT-2's, is written beside the weights\n"
    "(hf: vocab.json and merges.txt; llmc: gpt2_tokenizer.bin), so that the result stands alone. Files appear whole "
    "or\n"
    "not at all. The same input gives the same bytes.\n"
    "Exit codes: 0 done, 1 failure, 2 usage, 3 bad model file.";

/// Nothing if the program is done (--help, --version); throws CLI::ParseError.
std::optional<Options> parse(int argc, char** argv) {
  Options o;
  CLI::App app(std::string("Makes GPT-2 checkpoints: random ones, or others' in another format.\n\n") + kExamples);
  app.footer(kNotes);
  app.add_option("--size", o.size,
                 "random weights, as a GPT-2 of this size has them before training: 124M, 355M, "
                 "774M or 1558M")
      ->check(CLI::IsMember({"124M", "355M", "774M", "1558M"}));
  app.add_option("--from", o.from, "a checkpoint: a Hugging Face directory or an llm.c .bin file");
  app.add_option("--seed", o.seed, "of the random weights")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--format", o.format, "hf: a directory for Hugging Face; llmc: a .bin file for llm.c")
      ->check(CLI::IsMember({"hf", "llmc"}))
      ->capture_default_str();
  app.add_option("--dtype", o.dtype, "f32, bf16 or (hf only) f16; default: that of the source, f32 for random weights")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}));
  app.add_option("--out", o.out, "the directory (hf) or file (llmc) to write");
  app.add_flag("--force", o.force, "overwrite files that are there");
  bool version = false;
  app.add_flag("--version", version, "print version and commit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    print_text(app.help());
    return {};
  }
  if (version) {
    print_text(fmt::format("gpt2-dsl-make-checkpoint {} ({})\n", kVersion, kCommit));
    return {};
  }
  if (o.size.empty() == o.from.empty()) throw Failure{kUsage, "give either --size or --from; see --help"};
  if (o.out.empty()) throw Failure{kUsage, "--out is missing: the directory or file to write; see --help"};
  return o;
}

DType dtype_of(const std::string& name, DType otherwise) {
  return name.empty() ? otherwise : name == "f32" ? DType::f32 : name == "bf16" ? DType::bf16 : DType::f16;
}

bool holds(const fs::path& path, const std::string& bytes) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream have;
  have << file.rdbuf();
  return file && have.view() == bytes;
}

// What goes where. Small files are there from the start, so that everything that can be refused is refused before the
// weights are written.
class Destination {
 public:
  Destination(const Options& o, const CheckpointContent& content, const std::optional<Vocabulary>& vocabulary) {
    const fs::path out = o.out;
    std::error_code ignored;
    if (o.format == "llmc") {
      if (fs::is_directory(out, ignored))
        throw Failure{kUsage, fmt::format("{}: is a directory; give --out a file, such as {}", o.out,
                                          (out / "gpt2.bin").string())};
      stage(kUsage, [&] { check_llmc_can_hold(content.config, content.dtype); });
      weights_ = out;
      special_ = fs::exists(out, ignored) && !fs::is_regular_file(out, ignored);
      if (vocabulary && !special_)
        small_ = {{out.parent_path() / "gpt2_tokenizer.bin", to_llmc_tokenizer(*vocabulary)}};
    } else {
      if (fs::exists(out, ignored) && !fs::is_directory(out, ignored))
        throw Failure{kUsage,
                      fmt::format("{}: is not a directory; give --out a directory, or choose --format llmc", o.out)};
      directory_ = out;
      weights_ = out / "model.safetensors";
      small_ = {{out / "config.json", to_config_json(content.config, content.dtype)}};
      if (vocabulary) {
        small_.emplace_back(out / "vocab.json", to_vocab_json(*vocabulary));
        small_.emplace_back(out / "merges.txt", to_merges_txt(*vocabulary));
      }
    }
    if (!o.force && !special_) refuse_existing();
  }

  void write(const CheckpointContent& content) const {
    OutputFiles files;
    if (!directory_.empty()) files.make_directory(directory_);
    OutputFile& weights = files.add(weights_);
    for (const auto& [path, bytes] : small_) files.add(path).write(bytes);
    directory_.empty() ? write_llmc(content, weights) : write_safetensors(content, weights);
    files.commit();
  }

  std::string names() const {
    std::string text = weights_.string();
    for (const auto& file : small_) text += ", " + file.first.filename().string();
    return text;
  }

 private:
  // A vocabulary that is there already is no reason to stop.
  void refuse_existing() const {
    auto refuse = [](const fs::path& path) {
      throw Failure{kUsage, fmt::format("{}: exists; give --force to overwrite it, or another --out", path.string())};
    };
    std::error_code ignored;
    if (fs::exists(weights_, ignored)) refuse(weights_);
    for (const auto& [path, bytes] : small_)
      if (fs::exists(path, ignored) && !holds(path, bytes)) refuse(path);
  }

  fs::path directory_, weights_;  // directory_ is empty for llm.c
  bool special_ = false;          // weights_ is a device or a pipe
  std::vector<std::pair<fs::path, std::string>> small_;
};

// Nothing if what there is belongs to a larger model.
std::optional<Vocabulary> vocabulary_for(const Options& o, const Config& config) {
  const fs::path published = data_dir(kSourceVocabDir, kInstalledVocabDir);
  Vocabulary v =
      stage(kBadModel, [&] { return read_vocabulary(o.from.empty() ? published : fs::path(o.from), published); });
  if (static_cast<int>(v.tokens.size()) > config.vocab_size) return {};
  return v;
}

void run(const Options& o) {
  std::optional<Checkpoint> source;
  CheckpointContent content;
  if (o.from.empty()) {
    content.config = published_config(o.size);
    content.read = random_tensors(content.config, static_cast<uint64_t>(o.seed));
    content.dtype = dtype_of(o.dtype, DType::f32);
  } else {
    stage(kBadModel, [&] { source.emplace(o.from); });
    content.config = source->config();
    content.read = tensors_from(*source);
    content.dtype = dtype_of(o.dtype, source->wte().dtype);
  }
  const std::optional<Vocabulary> vocabulary = vocabulary_for(o, content.config);
  const Destination destination(o, content, vocabulary);
  {
    Progress progress("writing " + o.out);
    content.progress = [&](double fraction) {
      if (interrupted) throw Failure{kFailure, "interrupted; nothing has been written"};
      progress.update(fraction);
    };
    destination.write(content);
  }
  print_note(fmt::format(
      "{} parameters in {}: {}{}\n", content.config.total_params(), name_of(content.dtype), destination.names(),
      vocabulary ? "" : fmt::format("; no vocabulary: none at hand fits {} tokens", content.config.vocab_size)));
}

int body(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is an error of write()
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, [](int) { interrupted = 1; });
  if (auto options = parse(argc, argv)) run(*options);
  return 0;
}

}  // namespace
}  // namespace wavetile::cli

int main(int argc, char** argv) {
  return wavetile::cli::run_program("gpt2-dsl-make-checkpoint", wavetile::cli::body, argc, argv);
}
