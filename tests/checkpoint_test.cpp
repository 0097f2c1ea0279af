// Configs, safetensors files and checkpoints: what is read, and what each malformed file is told.
#include "models/gpt2/checkpoint.h"
#include "tests/support/errors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "dsl/error.h"
#include "tests/support/small_checkpoint.h"

namespace wavetile {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kDemo = fs::path(WAVETILE_SOURCE_DIR) / "models/gpt2/demo";

TEST(Config, ReadsDemo) {
  const Config c = read_config(kDemo / "config.json");
  EXPECT_EQ(c.max_seq_len, 1024);
  EXPECT_EQ(c.vocab_size, 50257);
  EXPECT_EQ(c.num_layers, 8);
  EXPECT_EQ(c.num_heads, 2);
  EXPECT_EQ(c.channels, 128);
  EXPECT_EQ(c.head_size(), 64);
  EXPECT_FLOAT_EQ(c.layernorm_eps, 1e-5f);
  EXPECT_TRUE(c.tied_head);
  EXPECT_EQ(c.total_params(), 8'150'400);
}

TEST(Config, TotalParamsOfPublishedSizes) {
  EXPECT_EQ(published_config("124M").total_params(), 124'439'808);
  EXPECT_EQ(published_config("355M").total_params(), 354'823'168);
  EXPECT_EQ(published_config("774M").total_params(), 774'030'080);
  EXPECT_EQ(published_config("1558M").total_params(), 1'557'611'200);
  expect_contains(error_of([] { published_config("125M"); }), {"125M", "124M, 355M, 774M and 1558M"});
  Config untied{1024, 50257, 12, 12, 768, 1e-5f, false};
  EXPECT_EQ(untied.total_params(), 124'439'808 + 50257 * 768);
}

TEST(Config, MalformedFields) {
  struct Case {
    const char* field;
    json value;  // discarded: the field is removed
    std::vector<std::string> phrases;
  };
  const json removed(json::value_t::discarded);
  const Case cases[] = {
      {"n_positions", removed, {"n_positions", "missing"}},
      {"vocab_size", removed, {"vocab_size", "missing"}},
      {"n_layer", removed, {"n_layer", "missing"}},
      {"n_head", removed, {"n_head", "missing"}},
      {"n_embd", removed, {"n_embd", "missing"}},
      {"layer_norm_epsilon", removed, {"layer_norm_epsilon", "missing"}},
      {"activation_function", removed, {"activation_function", "missing"}},
      {"n_layer", "12", {"n_layer", "must be a number", "\"12\""}},
      {"n_layer", nullptr, {"n_layer", "must be a number", "null"}},
      {"n_layer", 1.5, {"n_layer", "whole number", "1.5"}},
      {"n_layer", 0, {"n_layer", "must be positive"}},
      {"n_layer", -3, {"n_layer", "must be positive", "-3"}},
      {"vocab_size", 4'000'000'000u, {"vocab_size", "at most 10000000"}},
      {"vocab_size", UINT64_MAX, {"vocab_size", "at most"}},
      {"n_head", 3, {"n_embd", "multiple of n_head", "3 heads", "4 channels"}},
      {"layer_norm_epsilon", 0, {"layer_norm_epsilon", "between 0 and 1"}},
      {"layer_norm_epsilon", -1e-5, {"layer_norm_epsilon", "between 0 and 1"}},
      {"layer_norm_epsilon", 1e-60, {"layer_norm_epsilon", "between 0 and 1"}},
      {"layer_norm_epsilon", "1e-5", {"layer_norm_epsilon", "must be a number"}},
      {"activation_function", "relu", {"activation_function", "gelu_new", "\"relu\""}},
      {"activation_function", 3, {"activation_function", "gelu_new"}},
      {"n_inner", 17, {"n_inner", "4 * n_embd = 16", "17"}},
      {"model_type", "bert", {"model_type", "gpt2", "\"bert\""}},
      {"tie_word_embeddings", "yes", {"tie_word_embeddings", "true or false"}},
      {"scale_attn_weights", false, {"scale_attn_weights", "only true"}},
      {"scale_attn_by_inverse_layer_idx", true, {"scale_attn_by_inverse_layer_idx", "only false"}},
      {"add_cross_attention", true, {"add_cross_attention", "only false"}},
  };
  TempDir dir;
  const fs::path path = dir / "config.json";
  for (const Case& c : cases) {
    json config = small_config();
    if (c.value.is_discarded())
      config.erase(c.field);
    else
      config[c.field] = c.value;
    write_file(path, config.dump());
    expect_contains(error_of([&] { read_config(path); }), {path.string() + ": "});
    expect_contains(error_of([&] { read_config(path); }), c.phrases);
  }
  for (const char* text : {"", "{", "nonsense", "{\"a\": \xff}", "{} x"}) {
    write_file(path, text);
    expect_contains(error_of([&] { read_config(path); }), {path.string(), "not valid JSON"});
  }
  write_file(path, "[1, 2]");
  expect_contains(error_of([&] { read_config(path); }), {path.string(), "must be a JSON object"});
}

TEST(Config, AcceptsEquivalentSpellings) {
  TempDir dir;
  json config = small_config();
  config["activation_function"] = "gelu_pytorch_tanh";
  config["n_inner"] = 16;
  config["tie_word_embeddings"] = false;
  write_file(dir / "config.json", config.dump());
  EXPECT_FALSE(read_config(dir / "config.json").tied_head);
}

TEST(SafeTensors, ReadsEveryDtypeExactly) {
  TempDir dir;
  // One byte in front leaves every tensor misaligned.
  const std::string header = R"({"__metadata__":{"format":"pt"},
    "a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
    "b":{"dtype":"F32","shape":[2,1],"data_offsets":[1,9]},
    "c":{"dtype":"F16","shape":[3],"data_offsets":[9,15]},
    "d":{"dtype":"BF16","shape":[2],"data_offsets":[15,19]},
    "e":{"dtype":"F32","shape":[0,7],"data_offsets":[19,19]},
    "f":{"dtype":"F4_NEW","shape":[3],"data_offsets":[19,21]},
    "g":{"dtype":"BF16","shape":[],"data_offsets":[21,23]}})";
  const float b[] = {1.5f, -0x1p-149f};
  const uint16_t c[] = {0x3c00, 0x0001, 0xfc00}, d[] = {0x3f80, 0xc000}, g = 0x4040;
  std::string data = "x";
  auto append = [&](const void* p, size_t n) { data.append(static_cast<const char*>(p), n); };
  append(b, 8), append(c, 6), append(d, 4), append("zz", 2), append(&g, 2);
  write_file(dir / "t.safetensors", safetensors(header, data));

  const SafeTensors file(dir / "t.safetensors");
  EXPECT_EQ(file.names(), (std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g"}));
  EXPECT_EQ(file.get("b").shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(file.get("b").dtype, DType::f32);
  EXPECT_EQ(to_f32(file.get("b")), (std::vector<float>{1.5f, -0x1p-149f}));
  EXPECT_EQ(to_f32(file.get("c")), (std::vector<float>{1, 0x1p-24f, -INFINITY}));
  EXPECT_EQ(to_f32(file.get("d")), (std::vector<float>{1, -2}));
  EXPECT_TRUE(to_f32(file.get("e")).empty());
  EXPECT_EQ(to_f32(file.get("g")), std::vector<float>{3});
  EXPECT_EQ(file.get("c").num_bytes(), 6u);
  std::vector<float> small(1);
  EXPECT_THROW(to_f32(file.get("b"), small), InternalError);

  // Other dtypes are an error only here.
  expect_contains(error_of([&] { file.get("a"); }), {"t.safetensors", "'a'", "dtype", "U8"});
  expect_contains(error_of([&] { file.get("f"); }), {"t.safetensors", "'f'", "dtype", "F4_NEW"});
  expect_contains(error_of([&] { file.get("zz"); }), {"t.safetensors", "'zz'", "missing"});
}

TEST(SafeTensors, MalformedFiles) {
  auto one = [](const std::string& tensor, size_t data_size) {
    return safetensors("{\"x\":" + tensor + "}", std::string(data_size, 'x'));
  };
  auto two = [](const std::string& first, const std::string& second, size_t data_size) {
    return safetensors(R"({"x":{"dtype":"U8",)" + first + R"(},"y":{"dtype":"U8",)" + second + "}}",
                       std::string(data_size, 'x'));
  };
  const std::string huge = std::string("\0\0\0\0\0\0\0\x80", 8), all_ones(8, '\xff');
  struct Case {
    std::string file;
    std::vector<std::string> phrases;
  };
  const Case cases[] = {
      {"", {"file length", "0 bytes"}},
      {"1234567", {"file length", "7 bytes"}},
      {huge + "{}", {"header length", "9223372036854775808"}},
      {all_ones + "{}", {"header length", "18446744073709551615"}},
      {safetensors("{}", "").substr(0, 9), {"header length", "2 bytes", "has 9"}},
      {safetensors("", ""), {"header", "not valid JSON"}},
      {safetensors("{\"x\"", ""), {"header", "not valid JSON"}},
      {safetensors("{\"\xff\":1}", ""), {"header", "not valid JSON"}},
      {safetensors(std::string(100'000, '['), ""), {"header", "not valid JSON"}},
      {safetensors("[]", ""), {"header", "must be a JSON object"}},
      {safetensors("{\"a\\nb\":1}", ""), {"\"a\\nb\"", "control characters"}},
      {one("3", 0), {"'x'", "must be an object"}},
      {one("{}", 0), {"'x'", "dtype", "missing"}},
      {one(R"({"dtype":3})", 0), {"'x'", "dtype", "must be a string"}},
      {one(R"({"dtype":"F32"})", 0), {"'x'", "shape", "missing"}},
      {one(R"({"dtype":"F32","shape":4})", 0), {"'x'", "shape", "array"}},
      {one(R"({"dtype":"F32","shape":[-1]})", 0), {"'x'", "shape", "-1"}},
      {one(R"({"dtype":"F32","shape":[1.0]})", 0), {"'x'", "shape", "whole number"}},
      {one(R"({"dtype":"F32","shape":[9223372036854775808]})", 0), {"'x'", "shape", "2^63-1"}},
      {one(R"({"dtype":"F32","shape":[1]})", 4), {"'x'", "data_offsets", "missing"}},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":4})", 4), {"'x'", "data_offsets", "[begin, end]"}},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,2,4]})", 4), {"'x'", "data_offsets", "[begin, end]"}},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[-4,0]})", 4), {"'x'", "data_offsets", "-4"}},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})", 4), {"'x'", "data_offsets", "out of order"}},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})", 3), {"'x'", "data_offsets", "out of range", "3"}},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775807]})", 4), {"'x'", "out of range"}},
      {one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})", 4), {"'x'", "4 bytes", "[2] of F32", "takes 8"}},
      {one(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]})", 0), {"'x'", "shape", "overflows"}},
      {one(R"({"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]})", 0), {"'x'", "overflows"}},
      {one(R"({"dtype":"U8","shape":[4611686018427387904,4611686018427387904,0],"data_offsets":[0,0]})", 0),
       {"'x'", "overflows"}},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})", 5), {"file length", "5 bytes", "describes 4"}},
      {two(R"("shape":[3],"data_offsets":[0,3])", R"("shape":[2],"data_offsets":[2,4])", 4),
       {"'y'", "data_offsets", "overlapping x"}},
      {two(R"("shape":[2],"data_offsets":[0,2])", R"("shape":[2],"data_offsets":[0,2])", 2), {"'y'", "overlapping x"}},
      {two(R"("shape":[1],"data_offsets":[0,1])", R"("shape":[2],"data_offsets":[2,4])", 4),
       {"'y'", "data_offsets", "hole after x"}},
      {one(R"({"dtype":"U8","shape":[1],"data_offsets":[1,2]})", 2), {"'x'", "hole after the header"}},
  };
  TempDir dir;
  const fs::path path = dir / "bad.safetensors";
  for (const Case& c : cases) {
    write_file(path, c.file);
    const std::string text = error_of([&] { SafeTensors file(path); });
    expect_contains(text, {path.string() + ": "});
    expect_contains(text, c.phrases);
  }
}

TEST(SafeTensors, PathsThatAreNoFiles) {
  TempDir dir;
  expect_contains(error_of([&] { SafeTensors file(dir / "none"); }), {(dir / "none").string(), "No such file"});
  expect_contains(error_of([&] { SafeTensors file(dir.path()); }), {dir.path().string(), "is a directory"});
  expect_contains(error_of([&] { SafeTensors file("/dev/null"); }), {"/dev/null", "not a regular file"});
}

TEST(Checkpoint, OpensDemo) {
  const Checkpoint demo(kDemo);
  EXPECT_EQ(demo.wte().shape, (std::vector<int64_t>{50257, 128}));
  EXPECT_EQ(demo.wte().dtype, DType::bf16);
  EXPECT_EQ(demo.lm_head().data, demo.wte().data);
  EXPECT_EQ(demo.layer(7).attn_c_attn.weight.shape, (std::vector<int64_t>{128, 384}));
  EXPECT_EQ(demo.layer(7).attn_c_attn.weight.name, "h.7.attn.c_attn.weight");
  for (float x : to_f32(demo.layer(3).mlp_c_proj.weight)) ASSERT_TRUE(std::isfinite(x));
}

TEST(Checkpoint, ResolvesNamesWithAndWithoutPrefix) {
  for (const std::string prefix : {"", "transformer."}) {
    TempDir dir;
    SmallCheckpoint small;
    small.shapes.clear();
    for (const auto& [name, shape] : small_shapes()) small.shapes[prefix + name] = shape;
    small.shapes[prefix + "h.0.attn.bias"] = {1, 1, 4, 4};
    small.shapes[prefix + "h.1.attn.masked_bias"] = {};
    small.write_to(dir.path());
    const Checkpoint checkpoint(dir.path());
    const SafeTensors file(dir / "model.safetensors");
    EXPECT_EQ(to_f32(checkpoint.layer(1).ln_2.bias), to_f32(file.get(prefix + "h.1.ln_2.bias")));
    EXPECT_EQ(to_f32(checkpoint.layer(0).mlp_c_fc.weight), to_f32(file.get(prefix + "h.0.mlp.c_fc.weight")));
    EXPECT_EQ(to_f32(checkpoint.ln_f().weight), to_f32(file.get(prefix + "ln_f.weight")));
    EXPECT_EQ(to_f32(checkpoint.wpe()), to_f32(file.get(prefix + "wpe.weight")));
  }
}

TEST(Checkpoint, OwnHead) {
  TempDir dir;
  SmallCheckpoint small;
  small.config["tie_word_embeddings"] = false;
  small.shapes["lm_head.weight"] = {5, 4};
  small.write_to(dir.path());
  const Checkpoint checkpoint(dir.path());
  EXPECT_NE(to_f32(checkpoint.lm_head()), to_f32(checkpoint.wte()));
}

TEST(Checkpoint, TiedHeadMayBeStoredTwice) {
  TempDir dir;
  write_file(dir / "config.json", small_config().dump());
  // One value everywhere makes lm_head equal to wte.
  Shapes shapes = small_shapes();
  shapes["lm_head.weight"] = {5, 4};
  std::string file = f32_file(shapes);
  uint64_t header = 0;
  std::memcpy(&header, file.data(), 8);
  std::fill(file.begin() + 8 + static_cast<long>(header), file.end(), '\0');
  write_file(dir / "model.safetensors", file);
  const Checkpoint checkpoint(dir.path());
  EXPECT_EQ(checkpoint.lm_head().data, checkpoint.wte().data);
}

TEST(Checkpoint, ReadsShards) {
  TempDir dir;
  Shapes first, second;
  json index = {{"metadata", json::object()}};
  for (const auto& [name, shape] : small_shapes()) {
    const bool in_first = first.size() < 10;
    (in_first ? first : second)[name] = shape;
    index["weight_map"][name] = in_first ? "a.safetensors" : "b.safetensors";
  }
  write_file(dir / "config.json", small_config().dump());
  write_file(dir / "a.safetensors", f32_file(first));
  write_file(dir / "b.safetensors", f32_file(second));
  const fs::path path = dir / "model.safetensors.index.json";
  write_file(path, index.dump());
  const Checkpoint checkpoint(dir.path());
  EXPECT_EQ(to_f32(checkpoint.wte()), to_f32(SafeTensors(dir / "b.safetensors").get("wte.weight")));

  auto fails = [&](const json& changed, const std::vector<std::string>& phrases) {
    write_file(path, changed.dump());
    expect_contains(error_of([&] { Checkpoint c(dir.path()); }), phrases);
  };
  json changed = index;
  changed["weight_map"]["extra"] = "a.safetensors";
  fails(changed, {"a.safetensors", "'extra'", "missing", "index.json"});
  changed["weight_map"]["extra"] = "../a.safetensors";
  fails(changed, {path.string(), "weight_map", "'extra'", "same directory"});
  changed["weight_map"]["extra"] = "none.safetensors";
  fails(changed, {"none.safetensors", "No such file"});
  changed["weight_map"]["extra"] = 3;
  fails(changed, {path.string(), "weight_map", "'extra'"});
  fails({{"weight_map", json::object()}}, {path.string(), "weight_map"});
  fails(json::array(), {path.string(), "weight_map"});
  first["wte.weight"] = {5, 4};
  write_file(dir / "a.safetensors", f32_file(first));
  fails(index, {"b.safetensors", "'wte.weight'", "another shard"});
}

TEST(Checkpoint, Mismatches) {
  struct Case {
    std::function<void(SmallCheckpoint&)> change;
    std::vector<std::string> phrases;
  };
  const Case cases[] = {
      {[](SmallCheckpoint& s) { s.shapes.erase("wpe.weight"); }, {"model.safetensors", "'wpe.weight'", "missing"}},
      {[](SmallCheckpoint& s) { s.shapes.erase("h.1.mlp.c_fc.bias"); }, {"'h.1.mlp.c_fc.bias'", "missing"}},
      {[](SmallCheckpoint& s) {
         s.shapes["wte.weight"] = {6, 4};
       },
       {"model.safetensors", "'wte.weight'", "[6, 4]", "config.json", "[5, 4]"}},
      {[](SmallCheckpoint& s) {
         s.shapes["h.0.attn.c_attn.weight"] = {12, 4};
       },
       {"'h.0.attn.c_attn.weight'", "[12, 4]", "[4, 12]"}},
      {[](SmallCheckpoint& s) {
         s.shapes["h.0.ln_1.bias"] = {4, 1};
       },
       {"'h.0.ln_1.bias'", "[4, 1]", "[4]"}},
      {[](SmallCheckpoint& s) { s.config["n_layer"] = 3; }, {"'h.2.ln_1.weight'", "missing"}},
      {[](SmallCheckpoint& s) { s.config["n_layer"] = 1; }, {"'h.1.", "belongs to no layer", "n_layer = 1"}},
      {[](SmallCheckpoint& s) { s.config["tie_word_embeddings"] = false; }, {"'lm_head.weight'", "missing"}},
      {[](SmallCheckpoint& s) {
         s.shapes["lm_head.weight"] = {5, 4};
       },
       {"'lm_head.weight'", "differs", "tie_word_embeddings"}},
      {[](SmallCheckpoint& s) {
         s.shapes["lm_head.weight"] = {4, 5};
       },
       {"'lm_head.weight'", "[4, 5]", "[5, 4]"}},
  };
  for (const Case& c : cases) {
    TempDir dir;
    SmallCheckpoint small;
    c.change(small);
    small.write_to(dir.path());
    const std::string text = error_of([&] { Checkpoint checkpoint(dir.path()); });
    expect_contains(text, {dir.path().string()});
    expect_contains(text, c.phrases);
  }
}

TEST(Checkpoint, MissingOrMisplacedFiles) {
  TempDir dir;
  auto error = [](const fs::path& path) { return error_of([&] { Checkpoint checkpoint(path); }); };
  expect_contains(error(dir / "none"),
                  {(dir / "none").string(), "no such file or directory", "gpt2-dsl-make-checkpoint"});
  expect_contains(error(dir.path()), {dir.path().string(), "neither config.json nor an llm.c checkpoint"});
  write_file(dir / "config.json", small_config().dump());
  expect_contains(error(dir.path()), {"model.safetensors", "missing", "index.json"});
  expect_contains(error(dir / "config.json"), {(dir / "config.json").string(), "magic", "directory that holds"});
  fs::create_directory(dir / "model.safetensors");
  expect_contains(error(dir.path()), {"model.safetensors", "is a directory"});
}

// ------------------------------------------------------------------------------------------- llm.c

// Where each tensor begins in the small file, counted by hand from llm.c's train_gpt2.cu (fill_in_parameter_sizes).
TEST(Llmc, TensorsStandInTheOrderOfLlmc) {
  TempDir dir;
  write_file(dir / "small.bin", SmallLlmc().bytes());
  const LlmcFile file(dir / "small.bin");
  EXPECT_EQ(file.dtype(), DType::f32);
  EXPECT_EQ(file.config().vocab_size, 5);
  EXPECT_EQ(file.config().num_layers, 2);
  EXPECT_EQ(file.config().channels, 4);
  const std::pair<const char*, float> begins[] = {{"wte.weight", 0},
                                                  {"wpe.weight", 32},
                                                  {"h.0.ln_1.weight", 48},
                                                  {"h.1.ln_1.weight", 52},
                                                  {"h.0.ln_1.bias", 56},
                                                  {"h.0.attn.c_attn.weight", 64},
                                                  {"h.1.attn.c_attn.weight", 112},
                                                  {"h.0.attn.c_attn.bias", 160},
                                                  {"h.0.attn.c_proj.weight", 184},
                                                  {"h.1.attn.c_proj.bias", 220},
                                                  {"h.0.ln_2.weight", 224},
                                                  {"h.0.ln_2.bias", 232},
                                                  {"h.0.mlp.c_fc.weight", 240},
                                                  {"h.1.mlp.c_fc.weight", 304},
                                                  {"h.0.mlp.c_fc.bias", 368},
                                                  {"h.0.mlp.c_proj.weight", 400},
                                                  {"h.1.mlp.c_proj.weight", 464},
                                                  {"h.0.mlp.c_proj.bias", 528},
                                                  {"ln_f.weight", 536},
                                                  {"ln_f.bias", 540}};
  for (const auto& [name, first] : begins) EXPECT_EQ(to_f32(file.get(name))[0], first) << name;
  EXPECT_EQ(SmallLlmc().values.size(), 544u);
  EXPECT_EQ(to_f32(file.get("wte.weight")).size(), 20u);  // without the padding
}

TEST(Llmc, LinearWeightsAreTransposed) {
  TempDir dir;
  write_file(dir / "small.bin", SmallLlmc().bytes());
  const Checkpoint checkpoint(dir / "small.bin");
  EXPECT_EQ(checkpoint.format(), CheckpointFormat::llmc);
  const StoredTensor& qkv = checkpoint.layer(0).attn_c_attn.weight;
  EXPECT_EQ(qkv.shape, (std::vector<int64_t>{4, 12}));
  const std::vector<float> values = to_f32(qkv);
  for (int in = 0; in < 4; ++in)
    for (int out = 0; out < 12; ++out)
      EXPECT_EQ(values[static_cast<size_t>(in * 12 + out)], static_cast<float>(64 + out * 4 + in));
  EXPECT_EQ(qkv.place(4 * 7 + 2), "[2, 7]");
  EXPECT_EQ(checkpoint.wte().place(4 * 3 + 2), "[3, 2]");
}

TEST(Llmc, ADirectoryMayHoldOneCheckpoint) {
  TempDir dir;
  write_file(dir / "gpt2_debug_state.bin", "another file of llm.c");
  write_file(dir / "b.bin", SmallLlmc().bytes());
  EXPECT_EQ(Checkpoint(dir.path()).format(), CheckpointFormat::llmc);
  write_file(dir / "a.bin", SmallLlmc().bytes());
  expect_contains(error_of([&] { Checkpoint c(dir.path()); }), {dir.path().string(), "a.bin, b.bin", "path of one"});
  SmallCheckpoint().write_to(dir.path());  // a config.json decides
  EXPECT_EQ(Checkpoint(dir.path()).format(), CheckpointFormat::hugging_face);
}

}  // namespace
}  // namespace wavetile
