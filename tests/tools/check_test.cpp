// `wavetile check` as a shell sees it: the report, the summary and the exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/gpt2/golden.h"
#include "tests/support/process.h"
#include "tools/check.h"

namespace wavetile {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class Check : public testing::Test {
 protected:
  ProcessResult run(std::vector<std::string> args) {
    args.insert(args.begin(), {WAVETILE_PROGRAM, "check", "--report", report_});
    return run_process(args);
  }
  json report() const { return json::parse(read_file(report_)); }

  TempDir dir_;
  std::string report_ = (dir_ / "out.json").string();
};

void expect_whole(const json& r, const std::string& device) {
  EXPECT_EQ(r.at("format"), 1);
  EXPECT_TRUE(r.at("passed"));
  EXPECT_TRUE(r.at("finished"));
  EXPECT_EQ(r.at("device").at("name"), device);
  EXPECT_TRUE(r.at("system").at("kernel").is_string());
  for (const char* way : {"host_to_device", "device_to_host", "device_to_device"})
    EXPECT_GT(r.at("bandwidth").at(way).at("gbytes_per_second"), 0) << way;
  EXPECT_GE(r.at("kernels").size(), 50u);
  for (const json& k : r.at("kernels")) EXPECT_TRUE(k.at("passed")) << k;
}

// With the emulator's word that nothing was reported and nothing is left.
TEST_F(Check, OfTheEmulatedGpu) {
  setenv("WAVETILE_EMULATOR", "gfx1151,strict", 1);
  const ProcessResult r = run({"--device", "hsa:emulated", "--quick"});
  EXPECT_EQ(r.code, 0) << r.out << r.err;
  EXPECT_THAT(r.err, AllOf(HasSubstr("linear gelu bf16 ... right"), Not(HasSubstr("libhsa-runtime64"))));
  EXPECT_THAT(r.out, AllOf(HasSubstr("device:  hsa:emulated, AMD Radeon"), HasSubstr("tokens are the reference's"),
                           HasSubstr("\npassed in ")));
  const json j = report();
  expect_whole(j, "hsa:emulated");
  EXPECT_THAT(j.at("device").at("runtime").get<std::string>(), HasSubstr("HSA 1."));
  EXPECT_THAT(j.at("device").at("isa").get<std::string>(), HasSubstr("gfx1151"));
  EXPECT_GT(j.at("bandwidth").at("host_memory").at("gbytes_per_second"), 0);  // it is an APU
  ASSERT_EQ(j.at("gpt2").size(), 2u);
  for (const json& m : j.at("gpt2")) {
    EXPECT_TRUE(m.at("passed"));
    EXPECT_EQ(m.at("same"), 4);
    EXPECT_GT(m.at("ms_per_token"), 0);
    EXPECT_FALSE(m.at("decode_kernels").empty());
    for (const json& k : m.at("decode_kernels")) EXPECT_TRUE(k.at("device_clock")) << k;
  }
}

TEST_F(Check, OfTheCpu) {
  const ProcessResult r = run({"--device", "cpu", "--quick", "--no-model"});
  EXPECT_EQ(r.code, 0) << r.out << r.err;
  expect_whole(report(), "cpu");
  EXPECT_FALSE(report().contains("gpt2"));
}

// Each with what the estimate for its chip is made of.
TEST_F(Check, TimesKernelsBesideTheirEstimates) {
  setenv("WAVETILE_EMULATOR", "gfx1151,strict", 1);
  const ProcessResult r =
      run({"--device", "hsa:emulated", "--no-model", "--kernels", "^(add|gelu|gemv_residual bf16)$"});
  EXPECT_EQ(r.code, 0) << r.out << r.err;
  EXPECT_THAT(r.out, HasSubstr("ESTIMATE us"));
  EXPECT_EQ(report().at("kernels").size(), 3u);
  const json times = report().at("times");
  ASSERT_EQ(times.size(), 1u) << "add and gelu have a type behind their names here";
  EXPECT_EQ(times[0].at("name"), "gemv_residual bf16");
  EXPECT_GT(times[0].at("microseconds"), 0);
  EXPECT_GT(times[0].at("estimate").at("microseconds"), 2);  // a launch alone
  EXPECT_TRUE(times[0].at("estimate").at("stages").at(0).at("bound").is_string());
}

TEST_F(Check, TokensThatAreNotTheReferences) {
  const fs::path model = dir_ / "model";
  fs::create_directory(model);
  for (const char* name : {"config.json", "model.safetensors"}) fs::copy_file(kDemo / name, model / name);
  json golden = json::parse(read_file(kDemo / "golden.json"));
  golden["prompts"][0]["greedy"][2] = 11;
  write_file(model / "golden.json", golden.dump());
  const ProcessResult r = run({"--device", "cpu", "--quick", "--kernels", "gelu", "--model", model.string()});
  EXPECT_EQ(r.code, 1);
  EXPECT_THAT(r.out, AllOf(HasSubstr("GPT-2 in f32: WRONG"), HasSubstr("step 2: token"), HasSubstr("\nFAILED in ")));
  EXPECT_FALSE(report().at("passed"));
  EXPECT_TRUE(report().at("finished"));
  EXPECT_FALSE(report().at("gpt2")[0].at("passed"));
}

TEST_F(Check, WithoutAGpuTheReportSaysWhy) {
  setenv("WAVETILE_HSA_LIBRARY", "/nonexistent/library.so", 1);
  const ProcessResult r = run({});
  unsetenv("WAVETILE_HSA_LIBRARY");
  EXPECT_EQ(r.code, 4);
  EXPECT_THAT(r.out, HasSubstr("--device hsa:emulated"));
  EXPECT_THAT(report().at("error").get<std::string>(), HasSubstr("install ROCm"));
  EXPECT_THAT(report().at("diagnosis").get<std::string>(), HasSubstr("hsa:emulated: "));
}

TEST_F(Check, WhatIsAskedForWrongly) {
  ProcessResult r = run({"--model", dir_.path().string()});
  EXPECT_EQ(r.code, 3);
  EXPECT_THAT(r.err, HasSubstr("it has no golden.json"));
  EXPECT_THAT(r.out, IsEmpty());
  report_ = (dir_ / "none" / "out.json").string();
  r = run({"--device", "cpu", "--no-model"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("give --report a file that can be written"));
  r = run({"--kernels", "("});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("it is no regular expression"));
  EXPECT_EQ(run_process({WAVETILE_PROGRAM}).code, 2);
  EXPECT_EQ(run_process({WAVETILE_PROGRAM, "check", "--help"}).code, 0);
}

TEST(CheckedSystem, IsReadFromItsFiles) {
  const TempDir dir;
  fs::create_directories(dir / "sys/module/amdgpu");
  fs::create_directories(dir / "etc");
  fs::create_directories(dir / "proc");
  write_file(dir / "sys/module/amdgpu/version", "6.8.5\n");
  write_file(dir / "etc/os-release", "NAME=x\nPRETTY_NAME=\"Some System 1\"\n");
  write_file(dir / "proc/cpuinfo", "processor\t: 0\nmodel name\t: Some Processor\n");
  const auto j = tools::describe_system(dir.path().string());
  EXPECT_EQ(j.at("amdgpu"), "6.8.5");
  EXPECT_EQ(j.at("distribution"), "Some System 1");
  EXPECT_EQ(j.at("processor"), "Some Processor");
  EXPECT_TRUE(j.at("rocm").is_null());
}

}  // namespace
}  // namespace wavetile
