// wavetile-emu as a user calls it: results, reports, traces, counters, and what it says to wrong calls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/emulator/compiler.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace wavetile::emu {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// y[i] = a * x[i] for i < n, with a line table of its own.
constexpr const char* kScale = R"(
define amdgpu_kernel void @scale(ptr addrspace(1) noalias readonly %x, ptr addrspace(1) noalias %y, float %a, i32 %n) #0 !dbg !4 {
  %item = call i32 @llvm.amdgcn.workitem.id.x(), !dbg !7
  %group = call i32 @llvm.amdgcn.workgroup.id.x(), !dbg !7
  %first = mul i32 %group, 64, !dbg !7
  %i = add i32 %first, %item, !dbg !7
  %inside = icmp ult i32 %i, %n, !dbg !7
  br i1 %inside, label %do, label %done, !dbg !7
do:
  %from = getelementptr float, ptr addrspace(1) %x, i32 %i, !dbg !8
  %v = load float, ptr addrspace(1) %from, !dbg !8
  %w = fmul float %a, %v, !dbg !8
  %to = getelementptr float, ptr addrspace(1) %y, i32 %i, !dbg !9
  store float %w, ptr addrspace(1) %to, !dbg !9
  br label %done, !dbg !9
done:
  ret void, !dbg !9
}
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" }
!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!2, !3}
!0 = distinct !DICompileUnit(language: DW_LANG_C99, file: !1, isOptimized: true, emissionKind: LineTablesOnly)
!1 = !DIFile(filename: "scale.cl", directory: "/kernels")
!2 = !{i32 2, !"Debug Info Version", i32 3}
!3 = !{i32 7, !"Dwarf Version", i32 5}
!4 = distinct !DISubprogram(name: "scale", scope: !1, file: !1, line: 10, type: !5, unit: !0, spFlags: DISPFlagDefinition)
!5 = !DISubroutineType(types: !6)
!6 = !{null}
!7 = !DILocation(line: 11, scope: !4)
!8 = !DILocation(line: 12, scope: !4)
!9 = !DILocation(line: 13, scope: !4)
)";

class EmuCli : public ::testing::Test {
 protected:
  void SetUp() override { write("gfx1151"); }
  void write(const char* chip) {
    const auto code = compile_ir(chip, kScale);
    write_file(file_, std::string(reinterpret_cast<const char*>(code.data()), code.size()));
  }
  ProcessResult run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {WAVETILE_EMU, file_.string()});
    return run_process(arguments);
  }
  std::vector<std::string> call(const std::string& out = "out:f32:5") {
    return {"--grid", "64", "--block", "64",    "--arg", "in:f32:=1,2.5,-3,0,8",
            "--arg",  out,  "--arg",   "f32:2", "--arg", "i32:5"};
  }
  ProcessResult run_with(std::vector<std::string> more, const std::string& out = "out:f32:5") {
    auto arguments = call(out);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  TempDir dir_;
  std::filesystem::path file_ = dir_ / "k.hsaco";
};

TEST_F(EmuCli, RunsAKernelOnEveryChip) {
  for (const char* chip : {"gfx1151", "gfx1100", "gfx942"}) {
    write(chip);
    const auto r = run_with({"--checks"});
    EXPECT_EQ(r.code, 0) << chip << r.err;
    EXPECT_EQ(r.out, "out:f32:5: 2 5 -6 0 16\n") << chip;
    EXPECT_EQ(r.err, "") << chip;
  }
}

TEST_F(EmuCli, ReadsAndWritesFiles) {
  const float x[] = {1, 2, 3, 4, 5};
  write_file(dir_ / "x.bin", std::string(reinterpret_cast<const char*>(x), sizeof x));
  const auto r =
      run({"--kernel", "scale", "--grid", "64", "--block", "64", "--arg", "in:f32:" + (dir_ / "x.bin").string(),
           "--arg", "out:f32:5:" + (dir_ / "y.bin").string(), "--arg", "f32:0.5", "--arg", "i32:5"});
  ASSERT_EQ(r.code, 0) << r.err;
  float y[5];
  const std::string bytes = read_file(dir_ / "y.bin");
  ASSERT_EQ(bytes.size(), sizeof y);
  std::memcpy(y, bytes.data(), sizeof y);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(y[i], 0.5f * x[i]);
}

TEST_F(EmuCli, OutputsAreNanUntilTheyAreWritten) {
  auto arguments = call();
  arguments.back() = "i32:3";
  EXPECT_THAT(run(arguments).out, HasSubstr("2 5 -6 -nan -nan"));
}

TEST_F(EmuCli, ListsKernels) {
  const auto r = run({"--list"});
  EXPECT_EQ(r.code, 0);
  EXPECT_THAT(r.out, HasSubstr("scale: "));
  EXPECT_THAT(r.out, HasSubstr("+16: 4 bytes, by_value a"));
}

// A store past the end of y, with the line of the source that did it.
TEST_F(EmuCli, ReportsNameTheLine) {
  const auto r = run_with({}, "out:f32:4");
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("out-of-bounds: write of 4 bytes"));
  EXPECT_THAT(r.err, HasSubstr("0 bytes past the end of 16 bytes of argument out:f32:4"));
  EXPECT_THAT(r.err, HasSubstr("source /kernels/scale.cl:13"));
  EXPECT_THAT(r.err, HasSubstr("wave 0, lane 4"));
  EXPECT_EQ(r.out, "");
}

TEST_F(EmuCli, Counters) {
  auto r = run_with({"--counters", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  const auto brace = r.out.find('{');
  ASSERT_NE(brace, std::string::npos);
  const auto parsed = nlohmann::json::parse(r.out.substr(brace), nullptr, /*allow_exceptions=*/false);
  EXPECT_TRUE(parsed.is_object()) << r.out;
  r = run_with({"--counters", "text"});
  EXPECT_THAT(r.out, HasSubstr("global"));
}

TEST_F(EmuCli, TracesOneWave) {
  const auto r = run_with({"--trace", "--lanes", "2", "--wave", "1"});
  EXPECT_EQ(r.code, 0);
  EXPECT_THAT(r.err, HasSubstr("s_endpgm"));
  EXPECT_THAT(r.err, HasSubstr("exec ffffffff"));
  // The wave's work-items are 32 and on.
  EXPECT_THAT(r.err, Not(HasSubstr("global_store")));
}

TEST_F(EmuCli, StopsAndPrintsRegisters) {
  const auto r = run_with({"--stop", "0x0"});
  EXPECT_THAT(r.err, HasSubstr("stopped before +0x0000"));
  EXPECT_THAT(r.err, HasSubstr("      v0: 00000000 (0) 00000001"));
  EXPECT_THAT(r.err, HasSubstr("exec_lo: ffffffff"));
  EXPECT_EQ(r.out, "");
}

TEST_F(EmuCli, WrongCalls) {
  struct Row {
    std::vector<std::string> arguments;
    const char* says;
  };
  const std::vector<Row> rows = {
      {{"--kernel", "sacle"}, "no kernel 'sacle': the file has scale"},
      {{"--arg", "i32:1"}, "argument 1 has 4 bytes, but the kernel takes 8 (global_buffer)"},
      {{}, "0 arguments given, but the kernel takes: x:global_buffer(8 bytes)"},
      {{"--arg", "in:f33:4"}, "'f33' is no type"},
      {{"--arg", "in:f32:nothing.bin"}, "cannot read the file 'nothing.bin'"},
      {{"--arg", "in:i8:=300"}, "'300' is no i8"},
      {{"--arg", "out:f32:0"}, "a buffer of 1 element to 64 GiB is possible"},
      {{"--arg", "in:f32:4:y.bin"}, "an input has no file to be written to"},
      {{"--arg", "f32"}, "forms:"},
      {{"--arg", "f32:1e"}, "'1e' is no f32"},
      {{"--block", "2000"}, "at most 1024"},
      {{"--chip", "gfx90a"}, "the emulator knows gfx1151 gfx1100 gfx942"},
      {{"--chip", "gfx942"}, "gfx1151"},
      {{"--stop", "here"}, "--stop"},
  };
  for (const Row& row : rows) {
    const auto r = run(row.arguments);
    EXPECT_EQ(r.code, 1) << row.says << r.out << r.err;
    EXPECT_THAT(r.err, HasSubstr(row.says));
    EXPECT_EQ(r.out, "");
  }
}

TEST_F(EmuCli, WrongFiles) {
  EXPECT_THAT(run_process({WAVETILE_EMU, (dir_ / "absent").string()}).err, HasSubstr("absent: cannot be read"));
  write_file(file_, "no ELF");
  const auto r = run({});
  EXPECT_EQ(r.code, 1);
  EXPECT_THAT(r.err, HasSubstr("k.hsaco: "));
  EXPECT_EQ(run_process({WAVETILE_EMU}).code, 1);
}

}  // namespace
}  // namespace wavetile::emu
