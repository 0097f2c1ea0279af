// Every way in which a model can be wrong that we know of: what gpt2-dsl-run says, and that it ends with 3.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "golden.h"
#include "models/gpt2/weights.h"
#include "tests/support/process.h"
#include "tests/support/small_checkpoint.h"

namespace wavetile {
namespace {

using nlohmann::json;

struct BadInput {
  const char* name;
  std::function<fs::path(const fs::path& dir)> make;  // writes the files; returns the --model
  const char* file;                                   // what the message begins with, relative to the directory
  std::vector<std::string> phrases;                   // the field, and what is wrong with it
};

// A Hugging Face directory whose model.safetensors is this.
auto weights(const std::string& bytes) {
  return [bytes](const fs::path& dir) {
    write_file(dir / "config.json", small_config().dump());
    write_file(dir / "model.safetensors", bytes);
    return dir;
  };
}
auto one_tensor(const std::string& tensor, size_t data) {
  return weights(safetensors("{\"wte.weight\":" + tensor + "}", std::string(data, '\0')));
}
auto two_tensors(const char* first, const char* second, size_t data) {
  return weights(safetensors(std::string(R"({"a":{"dtype":"U8",)") + first + R"(},"b":{"dtype":"U8",)" + second + "}}",
                             std::string(data, '\0')));
}
auto hugging_face(std::function<void(SmallCheckpoint&)> change) {
  return [change](const fs::path& dir) {
    SmallCheckpoint c;
    change(c);
    c.write_to(dir);
    return dir;
  };
}
auto llmc_file(
    std::function<void(SmallLlmc&)> change, std::function<void(std::string&)> cut = [](std::string&) {}) {
  return [change, cut](const fs::path& dir) {
    SmallLlmc c;
    change(c);
    std::string bytes = c.bytes();
    cut(bytes);
    write_file(dir / "m.bin", bytes);
    return dir / "m.bin";
  };
}
auto llmc_header(llmc::Field field, int32_t value) {
  return llmc_file([=](SmallLlmc& c) { c.header[field] = value; });
}
auto vocabulary(const char* file, const std::string& bytes) {
  return [=](const fs::path& dir) {
    SmallCheckpoint().write_to(dir);
    write_file(dir / file, bytes);
    return dir;
  };
}
std::string llmc_tokenizer(std::vector<int32_t> fields, const std::string& tokens) {
  fields.resize(256);
  return std::string(reinterpret_cast<const char*>(fields.data()), 1024) + tokens;
}

const BadInput kBadInputs[] = {
    {"Missing", [](const fs::path& dir) { return dir / "none"; }, "none", {"no such file", "gpt2-dsl-make-checkpoint"}},
    {"EmptyDirectory", [](const fs::path& dir) { return dir; }, "", {"config.json", ".bin"}},
    {"Device", [](const fs::path&) { return fs::path("/dev/null"); }, nullptr, {"/dev/null: is not a regular file"}},
    {"ConfigIsNoJson",
     [](const fs::path& dir) {
       write_file(dir / "config.json", "{");
       return dir;
     },
     "config.json",
     {"not valid JSON"}},
    {"ConfigOverflows",
     hugging_face([](auto& c) { c.config["n_embd"] = UINT64_MAX; }),
     "config.json",
     {"n_embd", "at most"}},
    {"WeightsMissing",
     [](const fs::path& dir) {
       write_file(dir / "config.json", small_config().dump());
       return dir;
     },
     "model.safetensors",
     {"missing"}},
    {"WeightsAreADirectory",
     [](const fs::path& dir) {
       write_file(dir / "config.json", small_config().dump());
       fs::create_directory(dir / "model.safetensors");
       return dir;
     },
     "model.safetensors",
     {"is a directory"}},
    {"WeightsEmpty", weights(""), "model.safetensors", {"file length", "0 bytes"}},
    {"WeightsTruncated",
     weights(f32_file(small_shapes()).substr(0, 3000)),
     "model.safetensors",
     {"data_offsets", "truncated"}},
    {"HeaderOf2To63Bytes",
     weights(std::string("\0\0\0\0\0\0\0\x80{}", 10)),
     "model.safetensors",
     {"header length", "9223372036854775808"}},
    {"OffsetsOverlap",
     two_tensors(R"("shape":[3],"data_offsets":[0,3])", R"("shape":[2],"data_offsets":[2,4])", 4),
     "model.safetensors",
     {"'b'", "data_offsets", "overlapping a"}},
    {"OffsetsUnordered",
     one_tensor(R"({"dtype":"U8","shape":[4],"data_offsets":[4,0]})", 4),
     "model.safetensors",
     {"data_offsets", "out of order"}},
    {"OffsetsOutOfRange",
     one_tensor(R"({"dtype":"U8","shape":[8],"data_offsets":[0,8]})", 4),
     "model.safetensors",
     {"data_offsets", "out of range"}},
    {"ShapeOverflows",
     one_tensor(R"({"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]})", 0),
     "model.safetensors",
     {"shape", "overflows"}},
    {"TensorMissing",
     hugging_face([](auto& c) { c.shapes.erase("h.1.mlp.c_fc.bias"); }),
     "model.safetensors",
     {"'h.1.mlp.c_fc.bias'", "missing"}},
    {"ShapeWrong",
     hugging_face([](auto& c) {
       c.shapes["wpe.weight"] = {5, 4};
     }),
     "model.safetensors",
     {"'wpe.weight'", "[5, 4]", "[4, 4]"}},
    {"DtypeWrong",
     one_tensor(R"({"dtype":"I32","shape":[5,4],"data_offsets":[0,80]})", 80),
     "model.safetensors",
     {"'wte.weight'", "dtype", "I32", "convert it"}},
    {"LlmcEmpty", llmc_file([](auto&) {}, [](std::string& s) { s.clear(); }), "m.bin", {"file length", "0 bytes"}},
    {"LlmcHeaderTruncated",
     llmc_file([](auto&) {}, [](std::string& s) { s.resize(1023); }),
     "m.bin",
     {"file length", "1023", "1024"}},
    {"LlmcTruncated",
     llmc_file([](auto&) {}, [](std::string& s) { s.pop_back(); }),
     "m.bin",
     {"file length", "3199", "3200", "truncated"}},
    {"LlmcTooLong",
     llmc_file([](auto&) {}, [](std::string& s) { s += "x"; }),
     "m.bin",
     {"file length", "3201", "3200"}},
    {"LlmcMagic", llmc_header(llmc::kMagicField, 20240327), "m.bin", {"magic", "20240327", "20240326"}},
    {"LlmcVersion", llmc_header(llmc::kVersion, 1), "m.bin", {"version", "3 (f32) and 5 (bf16)"}},
    {"LlmcTypeLies", llmc_header(llmc::kVersion, 5), "m.bin", {"file length", "3200"}},
    {"LlmcNegative", llmc_header(llmc::kMaxSeqLen, -4), "m.bin", {"max_seq_len", "-4"}},
    {"LlmcZero", llmc_header(llmc::kNumHeads, 0), "m.bin", {"num_heads", "is 0"}},
    {"LlmcTooLarge", llmc_header(llmc::kNumLayers, INT32_MAX), "m.bin", {"num_layers", "2147483647"}},
    {"LlmcProductsOverflow",
     llmc_file([](auto& c) { c.header[llmc::kNumLayers] = 10'000, c.header[llmc::kChannels] = 1'000'000; }),
     "m.bin",
     {"file length", "header asks for"}},
    {"LlmcHeads", llmc_header(llmc::kNumHeads, 3), "m.bin", {"channels", "multiple of num_heads"}},
    {"LlmcPadding", llmc_header(llmc::kPaddedVocabSize, 4), "m.bin", {"padded_vocab_size", "less than vocab_size"}},
    {"VocabularyWithoutMerges", vocabulary("vocab.json", "{}"), "vocab.json", {"no merges"}},
    {"MergesBroken", vocabulary("merges.txt", "h e\nhe\n"), "merges.txt:2", {"two tokens"}},
    {"LlmcTokenizerTruncated",
     vocabulary("gpt2_tokenizer.bin", "12"),
     "gpt2_tokenizer.bin",
     {"file length", "truncated"}},
    {"LlmcTokenizerMagic",
     vocabulary("gpt2_tokenizer.bin", llmc_tokenizer({20240326, 2, 1, 0}, "\1a")),
     "gpt2_tokenizer.bin",
     {"magic", "20240328"}},
    {"LlmcTokenizerVersion",
     vocabulary("gpt2_tokenizer.bin", llmc_tokenizer({20240328, 3, 1, 0}, "\1a")),
     "gpt2_tokenizer.bin",
     {"version", "3"}},
    {"LlmcTokenizerTooFew",
     vocabulary("gpt2_tokenizer.bin", llmc_tokenizer({20240328, 2, INT32_MAX, 0}, "\1a")),
     "gpt2_tokenizer.bin",
     {"vocab_size", "2147483647"}},
    {"LlmcTokenizerNegative",
     vocabulary("gpt2_tokenizer.bin", llmc_tokenizer({20240328, 2, -1, 0}, "\1a")),
     "gpt2_tokenizer.bin",
     {"vocab_size", "-1"}},
    {"LlmcTokenizerEndsInToken",
     vocabulary("gpt2_tokenizer.bin", llmc_tokenizer({20240328, 2, 1, 0}, "\5abc")),
     "gpt2_tokenizer.bin",
     {"token 0", "truncated"}},
    {"LlmcTokenizerEmptyToken",
     vocabulary("gpt2_tokenizer.bin", llmc_tokenizer({20240328, 2, 2, 0}, std::string("\1a\0x", 4))),
     "gpt2_tokenizer.bin",
     {"token 1", "empty"}},
    {"LlmcTokenizerEnd",
     vocabulary("gpt2_tokenizer.bin", llmc_tokenizer({20240328, 2, 1, 7}, "\1a")),
     "gpt2_tokenizer.bin",
     {"eot_token", "7"}},
    {"LlmcTokenizerBytes",
     vocabulary("gpt2_tokenizer.bin", llmc_tokenizer({20240328, 1, 1}, "\1a")),
     "gpt2_tokenizer.bin",
     {"byte 0x00", "missing"}},
};

class BadInputs : public testing::TestWithParam<BadInput> {};

void expect_one_line(const ProcessResult& r, int code, const std::string& begin,
                     const std::vector<std::string>& phrases) {
  EXPECT_EQ(r.code, code) << r.err;
  EXPECT_EQ(r.out, "");
  EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
  EXPECT_THAT(r.err, testing::StartsWith("gpt2-dsl-run: " + begin));
  for (const std::string& phrase : phrases) EXPECT_THAT(r.err, testing::HasSubstr(phrase));
}

TEST_P(BadInputs, AreNamedInOneLine) {
  const BadInput& bad = GetParam();
  TempDir dir;
  const fs::path model = bad.make(dir.path());
  expect_one_line(run_process({GPT2_DSL_RUN, "--model", model.string(), "--threads", "1"}), 3,
                  bad.file ? (*bad.file ? (dir / bad.file).string() : dir.path().string()) + ":" : "", bad.phrases);
}

INSTANTIATE_TEST_SUITE_P(All, BadInputs, testing::ValuesIn(kBadInputs),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(BadInput, FilesThatMayNotBeRead) {
  TempDir dir;
  SmallCheckpoint().write_to(dir.path());
  write_file(dir / "m.bin", SmallLlmc().bytes());
  fs::permissions(dir.path(), fs::perms::owner_all | fs::perms::others_read | fs::perms::others_exec);
  if (::access(dir.path().parent_path().c_str(), X_OK) != 0) GTEST_SKIP() << "the temporary folder is private";
  const auto run = [&](const fs::path& model) {
    return run_process({GPT2_DSL_RUN, "--model", model.string(), "--threads", "1"}, {.without_root = true});
  };
  fs::permissions(dir / "m.bin", fs::perms::none);
  expect_one_line(run(dir / "m.bin"), 3, (dir / "m.bin").string() + ":", {"Permission denied", "allow"});
  fs::permissions(dir / "model.safetensors", fs::perms::none);
  expect_one_line(run(dir.path()), 3, (dir / "model.safetensors").string() + ":", {"Permission denied", "allow"});
  fs::permissions(dir.path(), fs::perms::owner_all);
  if (geteuid() == 0) expect_one_line(run(dir.path()), 3, dir.path().string(), {"Permission denied"});
}

// NaN, infinity, and what the compute type makes infinite; every packing has to find them.
TEST(BadInput, WeightsThatAreNotFinite) {
  TempDir dir;
  auto device = Device::open("cpu", {.threads = 2, .level = {}});
  auto error = [&](size_t element, float value, DType dtype) -> std::string {
    SmallLlmc c;
    for (float& x : c.values) x = 1;
    c.values[element] = value;
    write_file(dir / "m.bin", c.bytes());
    const Checkpoint checkpoint(dir / "m.bin");
    try {
      load_weights(checkpoint, *device, dtype);
    } catch (const BadWeights& e) {
      return e.what();
    }
    return "no error";
  };
  const std::string path = (dir / "m.bin").string();
  struct {
    size_t element;
    const char *tensor, *place;
  } const places[] = {{3 * 4 + 2, "'wte.weight'", "[3, 2]"},
                      {32 + 5, "'wpe.weight'", "[1, 1]"},
                      {58, "'h.0.ln_1.bias'", "[2]"},
                      {112 + 4 * 11 + 3, "'h.1.attn.c_attn.weight'", "[3, 11]"},
                      {464 + 16 * 1 + 9, "'h.1.mlp.c_proj.weight'", "[9, 1]"},
                      {543, "'ln_f.bias'", "[3]"}};
  for (DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    for (auto [element, tensor, place] : places)
      for (float value : {std::nanf(""), -INFINITY})
        EXPECT_THAT(error(element, value, dtype), testing::AllOf(testing::StartsWith(path), testing::HasSubstr(tensor),
                                                                 testing::HasSubstr(std::string("element ") + place),
                                                                 testing::HasSubstr("not numbers")))
            << name_of(dtype);
    EXPECT_EQ(error(5 * 4, NAN, dtype), "no error");  // padding
  }
  EXPECT_EQ(error(14, 65504, DType::f16), "no error");
  EXPECT_THAT(error(14, 65520, DType::f16), testing::HasSubstr("element [3, 2] is 65520, which f16 cannot hold"));
  EXPECT_EQ(error(14, 65520, DType::bf16), "no error");
  EXPECT_THAT(error(14, 3.4e38f, DType::bf16), testing::HasSubstr("bf16 cannot hold"));
  EXPECT_EQ(error(14, 3.4e38f, DType::f32), "no error");
}

}  // namespace
}  // namespace wavetile
