// Names are resolved and shapes checked once, at open; the accessors cannot fail.
#include "models/gpt2/checkpoint.h"

#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "dsl/error.h"

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

}  // namespace

Checkpoint::Checkpoint(const fs::path& directory) : directory_(directory) {
  std::error_code ignored;  // a path that cannot be examined is reported as missing
  if (!fs::exists(directory, ignored)) throw Error(fmt::format("{}: no such directory", directory.string()));
  if (!fs::is_directory(directory, ignored))
    throw Error(fmt::format("{}: is a file; give the directory that holds config.json and model.safetensors",
                            directory.string()));
  config_ = read_config(directory / "config.json");
  open_files();

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
  const fs::path single = directory_ / "model.safetensors", index = directory_ / "model.safetensors.index.json";
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
    const SafeTensors& shard = files_.emplace_back(directory_ / name);
    for (const std::string& tensor : shard.names())
      if (!seen.insert(tensor).second)
        throw Error(fmt::format("{}: tensor '{}': another shard has it too", shard.path().string(), tensor));
  }
  for (const auto& [tensor, value] : map->items())
    if (!seen.count(tensor))
      throw Error(fmt::format("{}: tensor '{}': missing, although {} lists it",
                              (directory_ / value.get<std::string>()).string(), tensor, index.filename().string()));
}

const SafeTensors* Checkpoint::find(const std::string& name) const {
  for (const SafeTensors& file : files_)
    if (file.contains(name)) return &file;
  return nullptr;
}

StoredTensor Checkpoint::take(const std::string& name, const std::vector<int64_t>& shape) const {
  std::string full = name;
  const SafeTensors* file = find(full);
  if (!file) file = find(full = std::string(kPrefix) + name);
  if (!file)
    throw Error(fmt::format("{}: tensor '{}': missing (with and without '{}'); is config.json that of this checkpoint?",
                            files_.front().path().string(), name, kPrefix));
  StoredTensor tensor = file->get(full);
  if (tensor.shape != shape)
    throw Error(fmt::format("{}: tensor '{}': shape: {}, but {} asks for {}", file->path().string(), full,
                            shape_str(tensor.shape), (directory_ / "config.json").string(), shape_str(shape)));
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
  } else if (own.dtype != wte_.dtype || std::memcmp(own.data, wte_.data, own.num_bytes()) != 0) {
    throw Error(
        fmt::format("{}: tensor 'lm_head.weight': differs from wte.weight, but {} ties them; set "
                    "tie_word_embeddings to false there, or remove the tensor",
                    file->path().string(), (directory_ / "config.json").string()));
  }
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
                                (directory_ / "config.json").string(), config_.num_layers));
    }
  }
}

}  // namespace wavetile
