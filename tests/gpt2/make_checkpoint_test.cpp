// gpt2-dsl-make-checkpoint as a shell sees it, and what it writes.
#include <gmock/gmock.h>
#include <pty.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "dsl/error.h"
#include "golden.h"
#include "models/gpt2/checkpoint_writer.h"
#include "models/gpt2/progress.h"
#include "tests/support/process.h"
#include "tests/support/small_checkpoint.h"

namespace wavetile {
namespace {

using testing::HasSubstr;

class MakeCheckpoint : public testing::Test {
 protected:
  ProcessResult run(std::vector<std::string> args, const ProcessOptions& options = {}) const {
    args.insert(args.begin(), GPT2_DSL_MAKE_CHECKPOINT);
    return run_process(args, options);
  }
  std::string file(const std::string& name) const { return (dir_ / name).string(); }
  std::vector<std::string> convert(const std::string& from, const char* format, const std::string& to) const {
    return {"--from", from, "--format", format, "--out", to};
  }
  void expect_failure(const ProcessResult& r, int code, const std::string& phrase) const {
    EXPECT_EQ(r.code, code) << r.err;
    EXPECT_THAT(r.err, testing::AllOf(testing::StartsWith("gpt2-dsl-make-checkpoint: "), HasSubstr(phrase)));
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
  }
  size_t files() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(dir_.path()), fs::directory_iterator()));
  }

  TempDir dir_;
};

TEST_F(MakeCheckpoint, ConvertsThereAndBack) {
  ASSERT_EQ(run(convert(kDemo.string(), "llmc", file("a.bin"))).code, 0);
  ASSERT_EQ(run(convert(file("a.bin"), "hf", file("hf"))).code, 0);
  ASSERT_EQ(run(convert(file("hf"), "llmc", file("b.bin"))).code, 0);  // gpt2_tokenizer.bin is there, and the same
  EXPECT_TRUE(read_file(dir_ / "a.bin") == read_file(dir_ / "b.bin"));
  const Checkpoint original(kDemo), back(dir_ / "hf");
  EXPECT_EQ(back.wte().dtype, DType::bf16);
  EXPECT_EQ(read_config(dir_ / "hf/config.json").layernorm_eps, original.config().layernorm_eps);
  for (const NamedShape& t : tensors_of(original.config()))
    EXPECT_TRUE(to_f32(back.tensor(t)) == to_f32(original.tensor(t))) << t.name;
  EXPECT_TRUE(fs::exists(dir_ / "hf/vocab.json"));
  EXPECT_TRUE(fs::exists(dir_ / "hf/merges.txt"));
  EXPECT_EQ(files(), 4u);  // a.bin, b.bin, gpt2_tokenizer.bin, hf
}

TEST_F(MakeCheckpoint, UsageErrors) {
  SmallCheckpoint().write_to(dir_.path());
  expect_failure(run({"--out", file("x")}), 2, "either --size or --from");
  expect_failure(run({"--size", "124M", "--from", file(""), "--out", file("x")}), 2, "either --size or --from");
  expect_failure(run({"--size", "124M"}), 2, "--out");
  expect_failure(run({"--size", "125M", "--out", file("x")}), 2, "--size");
  expect_failure(run({"--size", "124M", "--seed", "-1", "--out", file("x")}), 2, "--seed");
  expect_failure(run({"--from", file(""), "--format", "llmc", "--dtype", "f16", "--out", file("x")}), 2, "no f16");
  expect_failure(run({"--from", file(""), "--format", "llmc", "--out", file("")}), 2, "is a directory");
  expect_failure(run({"--from", file(""), "--out", file("config.json")}), 2, "not a directory");
  expect_failure(run({"--from", file(""), "--out", file("")}), 2, "--force");
  expect_failure(run({"--from", file("none"), "--out", file("x")}), 3, file("none"));
  expect_failure(run({"--from", file(""), "--out", file("no/parent")}), 1, "no/parent");
  expect_failure(run({"--from", file(""), "--format", "llmc", "--out", file("no/parent.bin")}), 1, "no/parent.bin");
  EXPECT_EQ(files(), 2u);
}

TEST_F(MakeCheckpoint, OverwritesOnlyWhenForced) {
  SmallCheckpoint().write_to(dir_.path());
  write_file(dir_ / "x.bin", "mine");
  expect_failure(run(convert(file(""), "llmc", file("x.bin"))), 2, "x.bin: exists; give --force");
  EXPECT_EQ(read_file(dir_ / "x.bin"), "mine");
  std::vector<std::string> forced = convert(file(""), "llmc", file("x.bin"));
  forced.push_back("--force");
  EXPECT_EQ(run(forced).code, 0);
  EXPECT_TRUE(LlmcFile::is_one(dir_ / "x.bin"));
  // In place: the source is read while its successor is written beside it.
  ASSERT_EQ(run({"--from", file(""), "--dtype", "bf16", "--out", file(""), "--force"}).code, 0);
  EXPECT_EQ(Checkpoint(dir_.path()).wte().dtype, DType::bf16);
}

TEST_F(MakeCheckpoint, WhatCannotBeWrittenLeavesNothing) {
  const std::string demo = kDemo.string();
  expect_failure(run(convert(demo, "hf", file("hf")), {.file_limit = 1 << 20}), 1, "model.safetensors: cannot write");
  expect_failure(run(convert(demo, "llmc", file("m.bin")), {.file_limit = 1 << 20}), 1, "m.bin: cannot write");
  EXPECT_EQ(files(), 0u);
  if (fs::exists("/dev/full")) {
    expect_failure(run(convert(demo, "llmc", "/dev/full")), 1, "/dev/full: cannot write: No space left on device");
    expect_failure(run({"--help"}, {.out = "/dev/full"}), 1, "standard output");
  }
  expect_failure(run(convert(demo, "llmc", "/dev/stdout"), {.closed_pipe = true}), 1,
                 "/dev/stdout: cannot write: Broken pipe");
  EXPECT_EQ(run({"--help"}, {.closed_pipe = true}).code, 0);
  if (geteuid() == 0) {
    const ProcessResult r = run(convert(demo, "llmc", file("m.bin")), {.without_root = true});
    expect_failure(r, 1, "Permission denied");
  }
}

TEST_F(MakeCheckpoint, AnInterruptLeavesNothing) {
  const ProcessResult r = run({"--size", "1558M", "--out", file("hf")}, {.interrupt_after_ms = 300});
  EXPECT_NE(r.code, 0);
  EXPECT_EQ(files(), 0u);
  if (r.code == 1) {
    EXPECT_THAT(r.err, HasSubstr("interrupted"));
  }
}

TEST_F(MakeCheckpoint, HelpTeaches) {
  const ProcessResult help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* text : {"Examples:", "--size", "--from", "--seed", "--format", "--dtype", "--out", "--force",
                           "--version", "Exit codes:"})
    EXPECT_THAT(help.out, HasSubstr(text));
  EXPECT_LT(help.out.find("Examples:"), help.out.find("--size TEXT"));
  EXPECT_EQ(help.err, "");  // and no bar where there is no terminal
}

// ------------------------------------------------------------------------------------------- the library behind it

Config tiny_config() { return {4, 300, 2, 2, 64, 1e-5f, true}; }

std::string written(const CheckpointContent& content, bool llmc) {
  TempDir dir;
  OutputFiles files;
  llmc ? write_llmc(content, files.add(dir / "f")) : write_safetensors(content, files.add(dir / "f"));
  files.commit();
  return read_file(dir / "f");
}

TEST(RandomTensors, AreThoseOfAnUntrainedGpt2) {
  const Config c = tiny_config();
  for (const NamedShape& t : tensors_of(c)) {
    int64_t n = 1;
    for (int64_t e : t.shape) n *= e;
    std::vector<float> x(static_cast<size_t>(n)), again(x.size()), other(x.size());
    random_tensors(c, 7)(t, x);
    random_tensors(c, 7)(t, again);
    random_tensors(c, 8)(t, other);
    EXPECT_TRUE(x == again);
    if (t.shape.size() == 1) {
      const float value = t.name.find("ln_") != std::string::npos && t.name.ends_with(".weight") ? 1 : 0;
      EXPECT_EQ(x, std::vector<float>(x.size(), value)) << t.name;
      continue;
    }
    EXPECT_TRUE(x != other);
    double mean = 0, square = 0;
    for (float v : x) mean += v / static_cast<double>(n), square += double{v} * v / static_cast<double>(n);
    const double deviation = t.name.ends_with("c_proj.weight") ? 0.01 : 0.02, slack = 6 / std::sqrt(n);
    EXPECT_NEAR(mean, 0, deviation * slack) << t.name;
    EXPECT_NEAR(std::sqrt(square), deviation, deviation * slack) << t.name;
  }
}

TEST(CheckpointWriter, RoundsToNearestEvenAndKeepsNan) {
  Config c = tiny_config();
  const float values[] = {1 + 0x1p-8f, 1 + 0x3p-8f, 1 + 0x1.01p-8f, std::nanf(""), INFINITY, -0.f};
  const float expected[] = {1, 1 + 0x1p-6f, 1 + 0x1p-7f, NAN, INFINITY, -0.f};
  ReadTensor read = [&](const NamedShape&, std::span<float> out) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = values[i % std::size(values)];
  };
  TempDir dir;
  write_file(dir / "m.bin", written({c, DType::bf16, read}, true));
  const std::vector<float> got = to_f32(Checkpoint(dir / "m.bin").wte());
  for (size_t i = 0; i < got.size(); ++i) {
    const float e = expected[i % std::size(expected)];
    EXPECT_TRUE(std::isnan(e) ? std::isnan(got[i]) : got[i] == e && std::signbit(got[i]) == std::signbit(e)) << i;
  }
}

TEST(CheckpointWriter, RefusesWhatATypeCannotHold) {
  float value = 65519;
  ReadTensor read = [&](const NamedShape& t, std::span<float> out) {
    std::fill(out.begin(), out.end(), 0.f);
    if (t.name == "h.1.mlp.c_fc.weight") out[256 * 3 + 5] = value;
  };
  EXPECT_NO_THROW(written({tiny_config(), DType::f16, read}, false));
  value = 65520;
  for (auto [dtype, llmc, phrase] : {std::tuple{DType::f16, false, "which f16 cannot hold; choose --dtype bf16 or f32"},
                                     {DType::bf16, true, "which bf16 cannot hold; choose --dtype f32"}}) {
    if (dtype == DType::bf16) value = 3.4e38f;
    try {
      written({tiny_config(), dtype, read}, llmc);
      ADD_FAILURE() << phrase;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), testing::AllOf(HasSubstr("'h.1.mlp.c_fc.weight'"), HasSubstr("[3, 5]"), HasSubstr(phrase)));
    }
  }
}

TEST(CheckpointWriter, AnUntiedHeadStaysOneAndLlmcHasNone) {
  Config c = tiny_config();
  c.tied_head = false;
  TempDir dir;
  write_file(dir / "model.safetensors", written({c, DType::f32, random_tensors(c, 3)}, false));
  write_file(dir / "config.json", to_config_json(c, DType::f32));
  const Checkpoint back(dir.path());
  EXPECT_FALSE(back.config().tied_head);
  EXPECT_NE(to_f32(back.lm_head()), to_f32(back.wte()));
  EXPECT_THROW(written({c, DType::f32, random_tensors(c, 3)}, true), Error);
}

TEST(Progress, IsDrawnOnTerminalsAlone) {
  setenv("TERM", "xterm", 1);
  auto shown = [](bool colour) {
    colour ? unsetenv("NO_COLOR") : setenv("NO_COLOR", "1", 1);
    int master = -1, slave = -1;
    if (openpty(&master, &slave, nullptr, nullptr, nullptr) != 0) throw std::runtime_error("openpty");
    {
      Progress progress("reading", slave);
      progress.update(0.1);  // too early
      std::this_thread::sleep_for(std::chrono::milliseconds(220));
      progress.update(0.5);
      progress.update(0.6);  // too soon after
    }
    char text[1000];
    const ssize_t n = read(master, text, sizeof text);
    close(master);
    close(slave);
    return std::string(text, static_cast<size_t>(std::max<ssize_t>(n, 0)));
  };
  const std::string plain = shown(false);
  EXPECT_EQ(plain.substr(0, plain.find('%') + 1), "\rreading [===============>              ]  50%");
  EXPECT_THAT(plain, testing::AllOf(testing::Not(HasSubstr("60%")), testing::EndsWith(" \r")));
  EXPECT_THAT(plain, testing::Not(HasSubstr("\x1b")));
  EXPECT_THAT(shown(true), HasSubstr("\x1b[32m"));

  TempDir dir;
  FILE* file = fopen((dir / "log").c_str(), "w");
  {
    Progress progress("reading", fileno(file));
    std::this_thread::sleep_for(std::chrono::milliseconds(220));
    progress.update(0.5);
  }
  fclose(file);
  EXPECT_EQ(read_file(dir / "log"), "");
}

}  // namespace
}  // namespace wavetile
