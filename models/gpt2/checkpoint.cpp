// Names are resolved and shapes checked once, at open; the accessors cannot fail.
#include "models/gpt2/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "dsl/error.h"
#include "models/gpt2/json.h"

namespace wavetile {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "transformer.";

std::string_view without_prefix(std::string_view name) {
  return name.substr(0, kPrefix.size()) == kPrefix ? name.substr(kPrefix.size()) : name;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// The llm.c checkpoint in a directory without config.json.
fs::path only_llmc_in(const fs::path& directory) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".bin" && LlmcFile::is_one(it->path())) found.push_back(it->path().filename());
  if (error) throw Error(fmt::format("{}: cannot list the directory: {}", directory.string(), error.message()));
  std::sort(found.begin(), found.end());
  if (found.empty())
    throw Error(
        fmt::format("{}: holds neither config.json nor an llm.c checkpoint (.bin); give a Hugging Face "
                    "directory or an llm.c file",
                    directory.string()));
  if (found.size() > 1)
    throw Error(fmt::format("{}: holds several llm.c checkpoints: {}; give the path of one", directory.string(),
                            fmt::join(found, ", ")));
  return directory / found[0];
}

}  // namespace

std::string_view name_of(CheckpointFormat format) {
  return format == CheckpointFormat::llmc ? "llm.c" : "Hugging Face";
}

void Checkpoint::open() {
  std::error_code error;
  const fs::file_status status = fs::status(path_, error);
  if (status.type() == fs::file_type::not_found)
    throw Error(
        fmt::format("{}: no such file or directory; give a Hugging Face directory or an llm.c checkpoint "
                    "(.bin), or make one with gpt2-dsl-make-checkpoint",
                    path_.string()));
  if (error) throw Error(fmt::format("{}: cannot examine it: {}", path_.string(), error.message()));
  if (!fs::is_directory(status)) {
    llmc_.emplace(path_);
  } else if (const fs::path config = path_ / "config.json"; fs::exists(config, error)) {
    config_ = read_config(config);
    open_files();
    return;
  } else if (error) {
    throw Error(fmt::format("{}: cannot examine it: {}", config.string(), error.message()));
  } else {
    llmc_.emplace(only_llmc_in(path_));
  }
  config_ = llmc_->config();
}

Checkpoint::Checkpoint(const fs::path& path) : path_(path) {
  open();
  const int64_t c = config_.channels, mlp = config_.mlp_channels();
  wte_ = take("wte.weight", {config_.vocab_size, c});
  wpe_ = take("wpe.weight", {config_.max_seq_len, c});
  for (int l = 0; l < config_.num_layers; ++l) {
    const std::string h = fmt::format("h.{}.", l);
    layers_.push_back({take_pair(h + "ln_1", {c}), take_pair(h + "attn.c_attn", {c, 3 * c}),
                       take_pair(h + "attn.c_proj", {c, c}), take_pair(h + "ln_2", {c}),
                       take_pair(h + "mlp.c_fc", {c, mlp}), take_pair(h + "mlp.c_proj", {mlp, c})});
  }
  ln_f_ = take_pair("ln_f", {c});
  read_head();
  check_layers_are_all();
}

void Checkpoint::open_files() {
  const fs::path single = path_ / "model.safetensors", index = path_ / "model.safetensors.index.json";
  std::error_code ignored;
  if (fs::exists(single, ignored)) {
    files_.emplace_back(single);
  } else if (fs::exists(index, ignored)) {
    open_shards(index);
  } else {
    throw Error(
        fmt::format("{}: missing, and so is model.safetensors.index.json; a PyTorch checkpoint has to be saved "
                    "as safetensors first",
                    single.string()));
  }
}

void Checkpoint::open_shards(const fs::path& index) {
  MappedFile file(index);
  const json root = parse_json(file.text(), index.string());
  auto map = root.is_object() ? root.find("weight_map") : root.end();
  if (map == root.end() || !map->is_object() || map->empty())
    throw Error(fmt::format("{}: weight_map: must be an object that maps tensors to files", index.string()));
  std::set<std::string> names;
  for (const auto& [tensor, value] : map->items()) {
    // Only names of files beside the index: a checkpoint must not reach elsewhere.
    if (!value.is_string() || value.get<std::string>().find('/') != std::string::npos)
      throw Error(fmt::format("{}: weight_map: '{}': must be the name of a file in the same directory", index.string(),
                              tensor));
    names.insert(value.get<std::string>());
  }
  std::set<std::string> seen;
  for (const std::string& name : names) {
    const SafeTensors& shard = files_.emplace_back(path_ / name);
    for (const std::string& tensor : shard.names())
      if (!seen.insert(tensor).second)
        throw Error(fmt::format("{}: tensor '{}': another shard has it too", shard.path().string(), tensor));
  }
  for (const auto& [tensor, value] : map->items())
    if (!seen.count(tensor))
      throw Error(fmt::format("{}: tensor '{}': missing, although {} lists it",
                              (path_ / value.get<std::string>()).string(), tensor, index.filename().string()));
}

const SafeTensors* Checkpoint::find(const std::string& name) const {
  for (const SafeTensors& file : files_)
    if (file.contains(name)) return &file;
  return nullptr;
}

StoredTensor Checkpoint::take(const std::string& name, const std::vector<int64_t>& shape) const {
  if (llmc_) return llmc_->get(name);
  std::string full = name;
  const SafeTensors* file = find(full);
  if (!file) file = find(full = std::string(kPrefix) + name);
  if (!file)
    throw Error(fmt::format("{}: tensor '{}': missing (with and without '{}'); is config.json that of this checkpoint?",
                            files_.front().path().string(), name, kPrefix));
  StoredTensor tensor = file->get(full);
  if (tensor.shape != shape)
    throw Error(fmt::format("{}: tensor '{}': shape: {}, but {} asks for {}", file->path().string(), full,
                            shape_str(tensor.shape), (path_ / "config.json").string(), shape_str(shape)));
  return tensor;
}

WeightAndBias Checkpoint::take_pair(const std::string& name, const std::vector<int64_t>& weight_shape) const {
  return {take(name + ".weight", weight_shape), take(name + ".bias", {weight_shape.back()})};
}

// Hugging Face's loader overwrites a stored head by wte when the config ties them; a head that differs shows
// that the config is not the checkpoint's, and either choice could be wrong.
void Checkpoint::read_head() {
  lm_head_ = wte_;
  const SafeTensors* file = find("lm_head.weight");
  if (!file && config_.tied_head) return;
  StoredTensor own = take("lm_head.weight", wte_.shape);
  if (!config_.tied_head) {
    lm_head_ = own;
    return;
  }
  const bool same = own.dtype == wte_.dtype && std::memcmp(own.data, wte_.data, own.num_bytes()) == 0;
  release_pages(own.bytes());
  release_pages(wte_.bytes());
  if (!same)
    throw Error(
        fmt::format("{}: tensor 'lm_head.weight': differs from wte.weight, but {} ties them; set "
                    "tie_word_embeddings to false there, or remove the tensor",
                    file->path().string(), (path_ / "config.json").string()));
}

// A layer that the config does not know of means a model cut short, not a tensor to skip.
void Checkpoint::check_layers_are_all() const {
  for (const SafeTensors& file : files_) {
    for (const std::string& name : file.names()) {
      std::string_view bare = without_prefix(name);
      if (bare.substr(0, 2) != "h." || ends_with(bare, ".attn.bias") || ends_with(bare, ".attn.masked_bias")) continue;
      std::string_view number = bare.substr(2, bare.find('.', 2) - 2);
      bool known = false;
      for (int l = 0; l < config_.num_layers && !known; ++l) known = number == std::to_string(l);
      if (!known)
        throw Error(fmt::format("{}: tensor '{}': belongs to no layer: {} has n_layer = {}", file.path().string(), name,
                                (path_ / "config.json").string(), config_.num_layers));
    }
  }
}

}  // namespace wavetile
