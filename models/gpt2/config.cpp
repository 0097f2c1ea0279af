// A field that would change the arithmetic is either honoured or refused: none is ignored.
#include "models/gpt2/config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "dsl/error.h"
#include "models/gpt2/json.h"
#include "models/gpt2/mapped_file.h"

namespace wavetile {
namespace {

using nlohmann::json;

struct Reader {
  std::string path;
  json object;

  [[noreturn]] void fail(const char* field, const std::string& what) const {
    throw Error(fmt::format("{}: {}: {}", path, field, what));
  }

  const json& get(const char* field) const {
    auto it = object.find(field);
    if (it == object.end()) fail(field, "missing; a Hugging Face GPT-2 config.json has it");
    return *it;
  }

  int positive(const char* field, int limit) const {
    const json& value = get(field);
    if (!value.is_number()) fail(field, "must be a number, is " + excerpt(value));
    if (!value.is_number_integer()) fail(field, "must be a whole number, is " + excerpt(value));
    if (!value.is_number_unsigned() || value.get<uint64_t>() == 0)
      fail(field, "must be positive, is " + excerpt(value));
    if (value.get<uint64_t>() > static_cast<uint64_t>(limit))
      fail(field, fmt::format("must be at most {}, is {}", limit, excerpt(value)));
    return value.get<int>();
  }

  float epsilon(const char* field) const {
    const json& value = get(field);
    if (!value.is_number()) fail(field, "must be a number, is " + excerpt(value));
    float result = value.get<float>();
    if (!(result > 0 && result < 1)) fail(field, "must lie between 0 and 1, is " + excerpt(value));
    return result;
  }

  bool flag(const char* field, bool otherwise) const {
    if (!object.contains(field)) return otherwise;
    const json& value = get(field);
    if (!value.is_boolean()) fail(field, "must be true or false, is " + excerpt(value));
    return value.get<bool>();
  }

  void require_flag(const char* field, bool supported) const {
    if (flag(field, supported) != supported) fail(field, fmt::format("only {} is supported", supported));
  }
};

}  // namespace

int64_t Config::total_params() const {
  const int64_t c = channels, mlp = mlp_channels();
  const int64_t layer_norm = 2 * c;
  const int64_t attention = c * 3 * c + 3 * c + c * c + c;
  const int64_t feed_forward = c * mlp + mlp + mlp * c + c;
  const int64_t embeddings = (int64_t{vocab_size} + max_seq_len) * c;
  const int64_t head = tied_head ? 0 : vocab_size * c;
  return embeddings + num_layers * (2 * layer_norm + attention + feed_forward) + layer_norm + head;
}

std::vector<NamedShape> tensors_of(const Config& config) {
  const int64_t c = config.channels, mlp = config.mlp_channels();
  std::vector<NamedShape> all = {{"wte.weight", {config.vocab_size, c}}, {"wpe.weight", {config.max_seq_len, c}}};
  auto pair = [&](const char* name, const std::vector<int64_t>& shape) {
    for (int l = 0; l < config.num_layers; ++l)
      all.push_back({fmt::format("h.{}.{}.weight", l, name), shape, shape.size() == 2});
    for (int l = 0; l < config.num_layers; ++l) all.push_back({fmt::format("h.{}.{}.bias", l, name), {shape.back()}});
  };
  pair("ln_1", {c});
  pair("attn.c_attn", {c, 3 * c});
  pair("attn.c_proj", {c, c});
  pair("ln_2", {c});
  pair("mlp.c_fc", {c, mlp});
  pair("mlp.c_proj", {mlp, c});
  all.push_back({"ln_f.weight", {c}});
  all.push_back({"ln_f.bias", {c}});
  if (!config.tied_head) all.push_back({"lm_head.weight", {config.vocab_size, c}});
  return all;
}

Config published_config(const std::string& size) {
  struct Size {
    const char* name;
    int layers, heads, channels;
  };
  for (const Size& s :
       {Size{"124M", 12, 12, 768}, {"355M", 24, 16, 1024}, {"774M", 36, 20, 1280}, {"1558M", 48, 25, 1600}})
    if (size == s.name) return {1024, 50257, s.layers, s.heads, s.channels, 1e-5f, true};
  throw Error(fmt::format("{}: no published GPT-2 has this size; they are 124M, 355M, 774M and 1558M", size));
}

Config read_config(const std::filesystem::path& path) {
  MappedFile file(path);
  const Reader in{path.string(), parse_json(file.text(), path.string())};
  if (!in.object.is_object()) throw Error(fmt::format("{}: must be a JSON object, is {}", in.path, excerpt(in.object)));

  if (in.object.contains("model_type") && in.get("model_type") != "gpt2")
    in.fail("model_type", "must be \"gpt2\", is " + excerpt(in.get("model_type")));

  Config config;
  config.max_seq_len = in.positive("n_positions", limits::kPositions);
  config.vocab_size = in.positive("vocab_size", limits::kVocab);
  config.num_layers = in.positive("n_layer", limits::kLayers);
  config.num_heads = in.positive("n_head", limits::kHeads);
  config.channels = in.positive("n_embd", limits::kChannels);
  config.layernorm_eps = in.epsilon("layer_norm_epsilon");
  config.tied_head = in.flag("tie_word_embeddings", true);
  if (config.channels % config.num_heads != 0)
    in.fail("n_embd", fmt::format("must be a multiple of n_head: {} heads do not divide {} channels", config.num_heads,
                                  config.channels));

  const json& activation = in.get("activation_function");
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh")
    in.fail("activation_function",
            "must be \"gelu_new\" or \"gelu_pytorch_tanh\" (one function), is " + excerpt(activation));
  if (in.object.contains("n_inner") && !in.get("n_inner").is_null() && in.get("n_inner") != config.mlp_channels())
    in.fail("n_inner",
            fmt::format("must be null or 4 * n_embd = {}, is {}", config.mlp_channels(), excerpt(in.get("n_inner"))));
  in.require_flag("scale_attn_weights", true);
  in.require_flag("scale_attn_by_inverse_layer_idx", false);
  in.require_flag("add_cross_attention", false);
  return config;
}

}  // namespace wavetile
