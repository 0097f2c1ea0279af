// gpt2-dsl-run as a shell sees it: what goes to which stream, and the exit codes.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <algorithm>

#include "golden.h"
#include "models/gpt2/tokenizer.h"

namespace wavetile {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

struct Result {
  int code = -1;
  std::string out, err;
};

std::string shell_quoted(const std::string& text) {
  std::string q = "'";
  for (char c : text) q += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return q + "'";
}

class Cli : public testing::Test {
 protected:
  // One thread unless a test says otherwise: tests run beside each other.
  Result run(const std::vector<std::string>& args, const std::string& before = "", const std::string& after = "") {
    std::string command = before + shell_quoted(GPT2_DSL_RUN);
    for (const std::string& a : args) command += " " + shell_quoted(a);
    return shell(command + " " + after);
  }

  Result shell(const std::string& command) {
    std::string streams = " > " + shell_quoted(file("stdout")) + " 2> " + shell_quoted(file("stderr"));
    int status = std::system(("{ " + command + "\n}" + streams).c_str());
    EXPECT_TRUE(WIFEXITED(status)) << command;
    return {WEXITSTATUS(status), read_file(file("stdout")), read_file(file("stderr"))};
  }

  json run_json(std::vector<std::string> args) {
    args.insert(args.end(), {"--json", "--threads", "1"});
    Result r = run(args);
    EXPECT_EQ(r.code, 0) << r.err;
    return json::parse(r.out);
  }

  std::string file(const std::string& name) const { return (dir_ / name).string(); }
  std::string write(const std::string& name, const std::string& bytes) const {
    write_file(dir_ / name, bytes);
    return file(name);
  }

  // One line that says what is wrong, nothing on standard output.
  void expect_failure(const Result& r, int code, const std::string& phrase) {
    EXPECT_EQ(r.code, code) << r.err;
    EXPECT_EQ(r.out, "");
    EXPECT_THAT(r.err, AllOf(StartsWith("gpt2-dsl-run: "), HasSubstr(phrase)));
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
  }

  TempDir dir_;
  const GoldenPrompt golden_ = read_golden(kDemo)[3];  // umlauts, CJK, an emoji
  const Tokenizer tokenizer_ = Tokenizer::load(kVocab, "");
};

TEST_F(Cli, TheTextAloneIsOnStandardOutput) {
  Result r = run({"--prompt", golden_.text, "--max-tokens", "48", "--dtype", "f32", "--greedy", "--threads", "1"});
  EXPECT_EQ(r.code, 0);
  EXPECT_EQ(r.out, tokenizer_.decode(golden_.greedy));
  for (const char* line : {"max_seq_len: 1024\n", "vocab_size: 50257\n", "num_layers: 8\n", "num_heads: 2\n",
                           "channels: 128\n", "total_params: 8150400\n", "48 tokens on cpu in f32: ", "ms per token"})
    EXPECT_THAT(r.err, HasSubstr(line));
}

TEST_F(Cli, JsonIsOneObjectWithEveryFigure) {
  Result r = run({"--prompt", golden_.text, "--max-tokens", "48", "--dtype", "f32", "--json", "--threads", "1"});
  ASSERT_EQ(r.code, 0) << r.err;
  json j = json::parse(r.out);
  EXPECT_EQ(j.at("device"), "cpu");
  EXPECT_EQ(j.at("dtype"), "f32");
  EXPECT_EQ(j.at("prompt_ids"), json(golden_.ids));
  EXPECT_EQ(j.at("generated_ids"), json(golden_.greedy));
  EXPECT_EQ(j.at("text"), tokenizer_.decode(golden_.greedy));
  for (const char* figure :
       {"prefill_tokens_per_second", "decode_ms_per_token", "bytes_per_token", "decode_gbytes_per_second", "load_ms",
        "compile_ms", "first_token_ms", "peak_memory_bytes"})
    EXPECT_GT(j.at(figure).get<double>(), 0) << figure;
  // All weights but the position table, and some of the cache.
  EXPECT_GT(j["bytes_per_token"], 4 * (8150400 - 1024 * 128));
  EXPECT_THAT(r.err, HasSubstr("total_params: 8150400"));
}

TEST_F(Cli, FiguresOfStepsAreNullWithoutSteps) {
  json j = run_json({"--max-tokens", "1"});
  EXPECT_EQ(j["generated_ids"].size(), 1u);
  EXPECT_EQ(j["dtype"], "bf16");
  EXPECT_TRUE(j.at("decode_ms_per_token").is_null());
  EXPECT_TRUE(j.at("decode_gbytes_per_second").is_null());
  EXPECT_GT(j.at("prefill_tokens_per_second"), 0);
  j = run_json({"--max-tokens", "0"});
  EXPECT_EQ(j["text"], "");
  EXPECT_TRUE(j.at("first_token_ms").is_null());
}

TEST_F(Cli, PromptsOfAnyScript) {
  for (const char* prompt : {"🚀👩‍👩‍👧‍👦 東京で、e\u0301a\u0308 n\u0303", "-x --json",
                             "[a] \"b\" 'c' \\n %s ", "a<|endoftext|>b"}) {
    SCOPED_TRACE(prompt);
    json j = run_json({"--prompt", prompt, "--max-tokens", "1"});
    EXPECT_EQ(j["prompt_ids"], json(tokenizer_.encode(prompt)));
  }
}

TEST_F(Cli, PromptFilesAreTakenAsTheyAre) {
  for (const char* text : {"One line", "One line\n"}) {
    std::string path = write("prompt.txt", text);
    EXPECT_EQ(run_json({"--prompt-file", path, "--max-tokens", "1"})["prompt_ids"], json(tokenizer_.encode(text)));
  }
}

TEST_F(Cli, StandardInputIsTakenAsItIs) {
  for (const std::string& text : {std::string("  two\r\n\nlines \n\n"), std::string("a\0b", 3)}) {
    std::string pipe = "cat " + shell_quoted(write("prompt.txt", text)) + " | ";
    Result r = run({"--prompt-file", "-", "--json", "--max-tokens", "1", "--threads", "1"}, pipe);
    ASSERT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(json::parse(r.out)["prompt_ids"], json(tokenizer_.encode(text)));
  }
}

TEST_F(Cli, AnEmptyPromptIsTheStartOfAText) {
  const json start = {50256};
  EXPECT_EQ(run_json({"--max-tokens", "1"})["prompt_ids"], start);
  EXPECT_EQ(run_json({"--max-tokens", "1", "--prompt", ""})["prompt_ids"], start);
  EXPECT_EQ(run_json({"--max-tokens", "1", "--prompt-file", write("empty", "")})["prompt_ids"], start);
}

TEST_F(Cli, UsageErrors) {
  expect_failure(run({"--no-such-flag"}), 2, "--no-such-flag");
  expect_failure(run({"stray"}), 2, "stray");
  expect_failure(run({"--max-tokens", "-1"}), 2, "--max-tokens");
  expect_failure(run({"--max-tokens", "ten"}), 2, "--max-tokens");
  expect_failure(run({"--max-tokens"}), 2, "--max-tokens");
  expect_failure(run({"--threads", "0"}), 2, "--threads");
  expect_failure(run({"--dtype", "i8"}), 2, "--dtype");
  expect_failure(run({"--prompt", "a", "--prompt-file", "b"}), 2, "--prompt");
  expect_failure(run({"--prompt-file", ""}), 2, "--prompt-file");
  expect_failure(run({"--prompt-file", file("none")}), 2, file("none"));
  expect_failure(run({"--prompt-file", dir_.path().string()}), 2, "directory");
  expect_failure(run({"--prompt", "a\xff"}), 2, "UTF-8");
  expect_failure(run({"--logits", file("none/logits")}), 2, "none/logits");
}

TEST_F(Cli, BadModels) {
  expect_failure(run({"--model", file("none")}), 3, file("none"));
  expect_failure(run({"--model", dir_.path().string()}), 3, "config.json");
  write_file(dir_ / "config.json", read_file(kDemo / "config.json"));
  expect_failure(run({"--model", dir_.path().string()}), 3, "model.safetensors");
  write_file(dir_ / "model.safetensors", read_file(kDemo / "model.safetensors").substr(0, 1'000'000));
  expect_failure(run({"--model", dir_.path().string()}), 3, "model.safetensors");
}

TEST_F(Cli, NanWeightsAreABadModel) {
  copy_with_nan(dir_.path(), "ln_f.weight", 5);
  Result r = run({"--model", dir_.path().string(), "--threads", "1"});
  EXPECT_EQ(r.code, 3);
  EXPECT_EQ(r.out, "");
  EXPECT_THAT(r.err, AllOf(HasSubstr(dir_.path().string()), HasSubstr("not numbers")));
}

TEST_F(Cli, AnUnknownDeviceIsNamed) { expect_failure(run({"--device", "tpu"}), 4, "no device 'tpu'"); }

TEST_F(Cli, AFullDiskIsAnError) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "this system has no /dev/full";
  for (std::vector<std::string> args : {std::vector<std::string>{}, {"--json"}, {"--help"}, {"--version"}}) {
    args.insert(args.end(), {"--threads", "1", "--max-tokens", "2"});
    Result r = run(args, "", "> /dev/full");
    EXPECT_EQ(r.code, 1);
    EXPECT_THAT(r.err, HasSubstr("standard output"));
  }
  Result r = run({"--logits", "/dev/full", "--max-tokens", "1", "--threads", "1"});
  EXPECT_EQ(r.code, 1);
  EXPECT_THAT(r.err, HasSubstr("/dev/full"));
  EXPECT_EQ(run({"--max-tokens", "2", "--threads", "1"}, "", ">&-").code, 1);
}

TEST_F(Cli, AClosedPipeEndsQuietly) {
  std::string command = shell_quoted(GPT2_DSL_RUN) + " --threads 1 --max-tokens 900 2> " + shell_quoted(file("log"));
  Result r = shell("{ " + command + "; echo $? > " + shell_quoted(file("code")) + "; } | head -c 1 > /dev/null");
  EXPECT_EQ(read_file(file("code")), "0\n");
  EXPECT_THAT(read_file(file("log")), testing::Not(HasSubstr("gpt2-dsl-run:")));
}

TEST_F(Cli, ThePromptMayFillEveryPosition) {
  std::string words;
  for (int i = 0; i < 1024; ++i) words += " the";
  Result r = run({"--prompt-file", write("1024", words), "--max-tokens", "5", "--threads", "1", "--json"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(json::parse(r.out)["prompt_ids"].size(), 1024u);
  EXPECT_EQ(json::parse(r.out)["generated_ids"].size(), 1u);
  EXPECT_THAT(r.err, HasSubstr("stopped after 1 tokens: all 1024 positions"));
  expect_failure(run({"--prompt-file", write("1025", words + " the")}), 2, "1025 tokens");
}

TEST_F(Cli, LogitsAreThoseAfterThePrompt) {
  Result r = run(
      {"--prompt", golden_.text, "--logits", file("logits"), "--max-tokens", "3", "--dtype", "f32", "--threads", "1"});
  ASSERT_EQ(r.code, 0) << r.err;
  std::string bytes = read_file(file("logits"));
  ASSERT_EQ(bytes.size(), 50257 * sizeof(float));
  for (auto [id, value] : golden_.top) {
    float l = 0;
    std::memcpy(&l, bytes.data() + static_cast<size_t>(id) * sizeof l, sizeof l);
    EXPECT_NEAR(l, value, 1e-3);
  }
}

TEST_F(Cli, ProfileAndDump) {
  Result r = run({"--prompt", "Two words", "--max-tokens", "4", "--profile", "--dump", file("dump"), "--threads", "2"});
  ASSERT_EQ(r.code, 0) << r.err;
  for (const char* text : {"Prompt of 2 tokens", "3 decode steps", "attention", "logits", "GB/s", "GFLOP/s"})
    EXPECT_THAT(r.err, HasSubstr(text));
  EXPECT_THAT(r.err, testing::ContainsRegex("account for (9[5-9]|100)"));
  EXPECT_FALSE(fs::is_empty(dir_ / "dump"));
}

TEST_F(Cli, HelpAndVersion) {
  Result help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* flag : {"--model", "--prompt", "--prompt-file", "--max-tokens", "--greedy", "--device", "--dtype",
                           "--threads", "--json", "--logits", "--dump", "--profile", "--version", "Exit codes:"})
    EXPECT_THAT(help.out, HasSubstr(flag));
  EXPECT_EQ(help.err, "");
  Result version = run({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_THAT(version.out, AllOf(StartsWith("gpt2-dsl-run "), HasSubstr("llvm")));
}

}  // namespace
}  // namespace wavetile
