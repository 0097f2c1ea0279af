// gpt2-dsl-run's modes: batches, a conversation, perplexity, sampling, verification, interrupts.
#include <gmock/gmock.h>

#include <cmath>

#include "golden.h"
#include "models/gpt2/tokenizer.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace wavetile {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Modes : public testing::Test {
 protected:
  ProcessResult run(std::vector<std::string> args, const ProcessOptions& options = {}) const {
    std::vector<std::string> command{GPT2_DSL_RUN};
    auto preset = [&](const char* flag, const char* value) {
      if (std::find(args.begin(), args.end(), flag) == args.end()) command.insert(command.end(), {flag, value});
    };
    preset("--dtype", "f32");
    preset("--threads", "1");
    command.insert(command.end(), args.begin(), args.end());
    return run_process(command, options);
  }
  std::string file(const std::string& name, const std::string& bytes) const {
    write_file(dir_ / name, bytes);
    return (dir_ / name).string();
  }
  static std::vector<json> lines(const std::string& text) {
    std::vector<json> all;
    std::stringstream in(text);
    for (std::string line; std::getline(in, line);) all.push_back(json::parse(line));
    return all;
  }

  TempDir dir_;
  const std::vector<GoldenPrompt> golden_ = read_golden(kDemo);
  const Tokenizer tokenizer_ = Tokenizer::load(kVocab, "");
};

// Results come in the order of the prompts, and no result depends on what else is in the batch, on its size or on the
// number of threads.
TEST_F(Modes, BatchesGiveWhatEachPromptGivesAlone) {
  std::string prompts;
  std::vector<std::vector<std::string>> alone;
  for (size_t i = 0; i < golden_.size(); ++i) {
    json line{{"prompt", golden_[i].text}, {"max_tokens", 4 + 5 * i}};
    std::vector<std::string> args{"--prompt", golden_[i].text, "--max-tokens", std::to_string(4 + 5 * i), "--json"};
    if (i % 2) {
      line.update({{"temperature", 0.8}, {"top_k", 30}, {"top_p", 0.9}, {"seed", i}, {"repetition_penalty", 1.3}});
      args.insert(args.end(), {"--temperature", "0.8", "--top-k", "30", "--top-p", "0.9", "--seed", std::to_string(i),
                               "--repetition-penalty", "1.3"});
    }
    prompts += line.dump() + "\n" + (i == 1 ? "\n" : "");
    alone.push_back(args);
  }
  const std::string path = file("prompts.jsonl", prompts);
  const ProcessResult one = run({"--batch-file", path, "--batch-size", "1"});
  ASSERT_EQ(one.code, 0) << one.err;
  for (const char* size : {"2", "3", "8"})
    EXPECT_EQ(run({"--batch-file", path, "--batch-size", size, "--threads", size}).out, one.out) << size;
  const std::vector<json> results = lines(one.out);
  ASSERT_EQ(results.size(), golden_.size());
  for (size_t i = 0; i < results.size(); ++i) {
    const ProcessResult r = run(alone[i]);
    ASSERT_EQ(r.code, 0) << r.err;
    const json j = json::parse(r.out);
    for (const char* field : {"prompt_ids", "generated_ids", "text", "finish"}) EXPECT_EQ(j[field], results[i][field]);
    if (i % 2) continue;
    EXPECT_EQ(results[i]["text"], tokenizer_.decode(std::span(golden_[i].greedy).first(4 + 5 * i)));
  }
}

TEST_F(Modes, ABatchNamesTheLineThatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"{\"prompt\": \"a\"}\n{\"prompt\": 3}\n", "prompts.jsonl:2: prompt"},
      {"\n\n[1]\n", "prompts.jsonl:3: not a JSON object"},
      {"{\"prompt\": \"a\", \"temperature\": -1}\n", "prompts.jsonl:1: temperature is -1"},
      {"{\"prompt\": \"a\", \"top_k\": 1.5}\n", "prompts.jsonl:1: top_k is 1.5"},
      {"{\"prompt\": \"a\", \"tokens\": 3}\n", "prompts.jsonl:1: unknown field \"tokens\""},
      {"{\"prompt\": \"a\", \"stop\": [\"\"]}\n", "prompts.jsonl:1: stop"},
      {"{\"prompt\": \"\xff\"}\n", "prompts.jsonl:1: "},
  };
  for (auto [text, phrase] : cases) {
    const ProcessResult r = run({"--batch-file", file("prompts.jsonl", text)});
    EXPECT_EQ(r.code, 2) << r.err;
    EXPECT_EQ(r.out, "");
    EXPECT_THAT(r.err, HasSubstr(phrase));
  }
}

TEST_F(Modes, SamplingIsAFunctionOfTheSeed) {
  const std::vector<std::string> sampled{"--prompt", "The old sailor", "--max-tokens", "24", "--temperature", "1",
                                         "-q"};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), sampled.begin(), sampled.end());
    const ProcessResult r = run(more);
    EXPECT_EQ(r.code, 0) << r.err;
    return r.out;
  };
  const std::string first = with({"--seed", "1"});
  EXPECT_EQ(with({"--seed", "1", "--threads", "2"}), first);
  EXPECT_NE(with({"--seed", "2"}), first);
  EXPECT_EQ(with({"--seed", "2", "--top-k", "1"}), with({"--seed", "9", "--top-k", "1"}));  // one token is left
}

TEST_F(Modes, StopStringsAndLogprobs) {
  const ProcessResult r =
      run({"--prompt", golden_[1].text, "--max-tokens", "40", "--stop",
           tokenizer_.decode(std::span(golden_[1].greedy).subspan(3, 2)), "--json", "--logprobs", "3"});
  ASSERT_EQ(r.code, 0) << r.err;
  const json j = json::parse(r.out);
  EXPECT_EQ(j["finish"], "stop");
  ASSERT_GE(j["logprobs"].size(), 5u);
  double share = 0;
  for (const json& t : j["logprobs"][0]["top"]) share += std::exp(t["logprob"].get<double>());
  EXPECT_EQ(j["logprobs"][0]["top"].size(), 3u);
  EXPECT_EQ(j["logprobs"][0]["id"], j["logprobs"][0]["top"][0]["id"]);
  EXPECT_LE(share, 1.0);
}

TEST_F(Modes, AConversationKeepsItsCache) {
  const std::string lines = "The old sailor\n\nand then\n";
  const std::string path = file("lines", lines);
  // The program reads standard input: a shell gives it the file.
  const ProcessResult r = run_process(
      {"/bin/sh", "-c", std::string(GPT2_DSL_RUN) + " --dtype f32 --threads 1 --interactive --max-tokens 6 < " + path});
  ASSERT_EQ(r.code, 0) << r.err;
  // The same as one text: each answer follows everything before it.
  std::string before, expected;
  std::stringstream in(lines);
  for (std::string line; std::getline(in, line);) {
    before += line;
    const ProcessResult one = run({"--prompt", before, "--max-tokens", "6", "-q"});
    before += one.out;
    expected += one.out + "\n";
  }
  EXPECT_EQ(r.out, expected);
}

TEST_F(Modes, SlidingGoesOnPastTheContext) {
  const ProcessResult slid =
      run({"--max-tokens", "60", "--context", "24", "--context-policy", "slide", "--json", "--ignore-eos"});
  ASSERT_EQ(slid.code, 0) << slid.err;
  EXPECT_EQ(json::parse(slid.out)["generated_ids"].size(), 60u);
  const ProcessResult stopped = run({"--max-tokens", "60", "--context", "24", "--json", "--ignore-eos"});
  EXPECT_EQ(json::parse(stopped.out)["generated_ids"].size(), 24u);
  EXPECT_EQ(json::parse(stopped.out)["finish"], "context");
}

// The published figure: tests/reference and the data's own notes have it from float64.
TEST_F(Modes, PerplexityOfHeldOutText) {
  const fs::path heldout = large_model().parent_path() / "heldout.txt";
  if (!fs::exists(heldout))
    GTEST_SKIP() << heldout.string() << " is missing; set WAVETILE_SHARED to its folder's parent";
  const std::string some = file("some.txt", read_file(heldout).substr(0, 5000));
  for (auto [dtype, tolerance] : {std::pair{"f32", 0.001}, {"bf16", 0.005}}) {
    const ProcessResult r = run({"--perplexity", some, "--json", "--dtype", dtype});
    ASSERT_EQ(r.code, 0) << r.err;
    const json j = json::parse(r.out);
    EXPECT_NEAR(j["windows"][0].get<double>(), 4.7891, tolerance) << dtype;
    EXPECT_NEAR(j["perplexity"].get<double>(), std::exp(j["mean_negative_log_likelihood"].get<double>()), 1e-6);
    std::printf("%s: first window %.5f\n", dtype, j["windows"][0].get<double>());
  }
}

// A window spans 1025 tokens; the next one begins with its last target.
TEST_F(Modes, WindowsShareOneToken) {
  const std::string text = file("text.txt", golden_[1].text + tokenizer_.decode(golden_[1].greedy));
  const ProcessResult whole = run({"--perplexity", text, "--json"});
  const ProcessResult parts = run({"--perplexity", text, "--json", "--context", "16", "--plan", "unfused"});
  ASSERT_EQ(whole.code + parts.code, 0) << whole.err << parts.err;
  const json a = json::parse(whole.out), b = json::parse(parts.out);
  EXPECT_EQ(a["tokens"], b["tokens"]);
  EXPECT_EQ(b["windows"].size(), (a["tokens"].get<size_t>() + 15) / 16);
  EXPECT_LT(a["perplexity"], b["perplexity"]);
}

TEST_F(Modes, VerifyChecksTheFirstSteps) {
  const ProcessResult r =
      run({"--verify", "2", "--max-tokens", "4", "--temperature", "1", "--repetition-penalty", "1.2"});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.out, run({"--max-tokens", "4", "--temperature", "1", "--repetition-penalty", "1.2", "-q"}).out);
  EXPECT_EQ(run({"--verify", "--max-tokens", "2", "--plan", "unfused", "--no-cache", "--context", "8"}).code, 0);
}

TEST_F(Modes, AnInterruptEndsTheTextAndTellsTheTimes) {
  const ProcessResult r =
      run({"--max-tokens", "1000000", "--context-policy", "slide", "--ignore-eos"}, {.interrupt_after_ms = 4000});
  EXPECT_EQ(r.code, 130) << r.err;
  EXPECT_THAT(r.err, HasSubstr("ms per token"));
  EXPECT_FALSE(r.out.empty());
}

TEST_F(Modes, QuietSaysNothing) {
  const ProcessResult r = run({"-q", "--max-tokens", "3"});
  EXPECT_EQ(r.code, 0);
  EXPECT_EQ(r.err, "");
  EXPECT_FALSE(r.out.empty());
}

TEST_F(Modes, TheConfigurationIsCountedBothWays) {
  const ProcessResult r = run({"--max-tokens", "1"});
  EXPECT_THAT(r.err, AllOf(HasSubstr("total_params: 8150400\n"), HasSubstr("padded to 50304: 8156416\n"),
                           HasSubstr("matmul weights "), HasSubstr("KV cache"), HasSubstr("activations")));
}

TEST_F(Modes, WhatIsThere) {
  EXPECT_THAT(run({"--list-devices"}).out, HasSubstr("cpu"));
  EXPECT_THAT(run({"--version"}).out, AllOf(HasSubstr("llvm 22"), HasSubstr("targets:")));
  const std::string help = run({"--help"}).out;
  EXPECT_LT(help.find("Examples:"), help.find("--model"));
  for (const char* code : {"2 usage", "3 bad model file", "4 no such device", "130 interrupted"})
    EXPECT_THAT(help, HasSubstr(code));
}

TEST_F(Modes, WhatDoesNotGoTogetherIsAUsageError) {
  const std::vector<std::string> cases[] = {{"--temperature", "-1"},
                                            {"--temperature", "nan"},
                                            {"--top-p", "2"},
                                            {"--greedy", "--temperature", "1"},
                                            {"--interactive", "--json"},
                                            {"--batch-file", "x", "--prompt", "y"},
                                            {"--perplexity", "-", "--no-cache"},
                                            {"--context", "1025"},
                                            {"--stop", ""},
                                            {"--plan", "other"},
                                            {"--verify", "0"},
                                            {"--no-such-flag"},
                                            {"--batch-file", "/nonexistent"}};
  for (const auto& args : cases) {
    const ProcessResult r = run(args);
    EXPECT_EQ(r.code, 2) << args[0] << " " << r.err;
    EXPECT_EQ(r.out, "");
    EXPECT_THAT(r.err, HasSubstr("gpt2-dsl-run: "));
  }
  EXPECT_EQ(run({"--device", "other"}).code, 4);
}

// OpenAI's published weights are not in the repository.
TEST(Published, GreedyTextOf124M) {
  const char* path = std::getenv("WAVETILE_GPT2");
  if (!path) GTEST_SKIP() << "set WAVETILE_GPT2 to OpenAI's GPT-2 124M, a Hugging Face directory or an llm.c .bin file";
  const ProcessResult r = run_process({GPT2_DSL_RUN, "--model", path, "--greedy", "--max-tokens", "20", "-q"});
  ASSERT_EQ(r.code, 0) << r.err;
  const size_t begin = r.out.find_first_not_of(" \t\n"), end = r.out.find_last_not_of(" \t\n");
  EXPECT_EQ(r.out.substr(begin, end - begin + 1),
            "The first time I saw the new version of the game, I was so excited. I was");
}

}  // namespace
}  // namespace wavetile
