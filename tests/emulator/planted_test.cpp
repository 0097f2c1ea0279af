// Planted bugs: each barrier, wait, fence, change of EXEC and initialisation of a right kernel is replaced by s_nop in
// turn. It has to be reported, or the result has to be right all the same and the instruction be listed here with the
// reason. Changes of EXEC and initialisations may also make another program, whose result shows it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include <fmt/format.h>

#include "emulator/decode.h"
#include "tests/emulator/compiler.h"
#include "tests/emulator/kernel_run.h"
#include "tests/emulator/planted_kernels.h"

namespace wavetile::emu::testing {
namespace {

constexpr std::uint32_t kNop = 0xbf800000;

enum class Role { none, barrier, wait, fence, exec, initialisation };

bool begins(const std::string& s, std::string_view with) { return s.starts_with(with); }

Role role_of(const Instruction& in) {
  const std::string& m = in.mnemonic;
  if (m == "s_barrier") return Role::barrier;
  if (begins(m, "s_waitcnt") && m != "s_waitcnt_depctr") return Role::wait;
  if (begins(m, "buffer_gl") || m == "buffer_inv" || m == "buffer_wbl2") return Role::fence;
  const bool to_exec = std::ranges::any_of(in.writes, [](const RegisterRange& r) {
    return r.file == File::sgpr && r.first <= kExec && r.first + r.count > kExec;
  });
  if (to_exec) return Role::exec;
  const bool constant = in.operands.size() == 2 && in.operands[1].kind != Operand::Kind::registers;
  if ((m == "v_mov_b32" || m == "s_mov_b32" || m == "s_mov_b64") && constant) return Role::initialisation;
  return Role::none;
}

// What a deleted instruction of each role may be reported as.
bool fits(Role role, const std::string& kind) {
  static const std::map<Role, std::vector<std::string>> kKinds = {
      {Role::barrier, {"race", "uninitialised-memory"}},
      {Role::wait, {"missing-wait", "race"}},
      {Role::fence, {"race", "stale-read"}},
      {Role::exec,
       {"race", "out-of-bounds", "lds-out-of-bounds", "uninitialised-register", "uninitialised-memory",
        "divergent-barrier", "too-long", "deadlock"}},
      {Role::initialisation, {"uninitialised-register", "uninitialised-memory", "out-of-bounds"}}};
  return std::ranges::find(kKinds.at(role), kind) != kKinds.at(role).end();
}

struct Planted {
  std::string name;
  std::string ir;
  std::uint32_t groups;
  std::uint16_t items;
  std::vector<Buffer> buffers;
  std::vector<std::uint32_t> scalars;
  // "chip text #n", the how manieth with that text: why nothing is reported, and the result is right.
  std::map<std::string, std::string> redundant;
};

std::uint32_t bits_of(float f) {
  std::uint32_t u;
  std::memcpy(&u, &f, 4);
  return u;
}

std::vector<Planted> kernels() {
  std::vector<Planted> all;
  Buffer reals{std::vector<std::uint32_t>(1024)};
  for (std::size_t i = 0; i < 1024; ++i) reals.words[i] = bits_of(static_cast<float>(i % 37) - 11);
  Buffer bins{std::vector<std::uint32_t>(256)};
  for (std::size_t i = 0; i < 256; ++i) bins.words[i] = static_cast<std::uint32_t>(i * i % 61);
  const Buffer nothing{std::vector<std::uint32_t>(256), false}, zeros{std::vector<std::uint32_t>(64)};
  const std::string lds_only = "what the workgroup shares is in LDS alone";
  const std::string same = "every lane then does the same, to the same place";
  const std::string off = "lanes that stay off have nothing left to do";
  all.push_back({"reduction",
                 reduction_kernel(),
                 2,
                 256,
                 {reals, nothing},
                 {},
                 {{"gfx1151 buffer_gl0_inv #1", lds_only},
                  {"gfx1151 buffer_gl0_inv #2", lds_only},
                  {"gfx1151 s_or_b32 exec_lo, exec_lo, s1 #1", off},
                  {"gfx942 s_or_b64 exec, exec, s[0:1] #1", off},
                  {"gfx1151 v_cmpx_eq_u32_e32 0, v0 #1", same},
                  {"gfx942 s_and_saveexec_b64 s[0:1], vcc #2", same},
                  {"gfx1151 v_mov_b32_e32 v0, 0 #1", "v0 is 0 in the one lane that is on"},
                  {"gfx942 v_mov_b32_e32 v0, 0 #1", "v0 is 0 in the one lane that is on"}}});
  all.push_back({"product",
                 product_kernel(),
                 1,
                 256,
                 {reals, reals, nothing},
                 {},
                 {{"gfx1151 buffer_gl0_inv #1", lds_only},
                  {"gfx1151 s_mov_b32 s3, 0 #1", "s3 is the workgroup's y, which is 0"},
                  {"gfx1151 s_mov_b32 s2, 0 #1", "s2 is the mask of carries, which is 0"},
                  {"gfx942 s_mov_b32 s4, 0 #1", "s4 is the workgroup's z, which is 0"}}});
  const std::string one = "one lane is on already";
  const std::string zero = "v0 is 0 in the one lane that is on";
  all.push_back(
      {"grid",
       grid_kernel(),
       2,
       128,
       {nothing, zeros, nothing},
       {2},
       {{"gfx1151 s_and_saveexec_b32 s5, s4 #1", same},
        {"gfx1151 buffer_gl0_inv #1", "nothing but atomics follows until the next"},
        {"gfx1151 v_cmpx_eq_u32_e32 0, v0 #2", one},
        {"gfx1151 s_or_b32 exec_lo, exec_lo, s3 #1", one},
        {"gfx1151 v_mov_b32_e32 v0, 0 #1", zero},
        {"gfx1151 buffer_gl0_inv #2", "the wave that reads invalidates its own L0 after the barrier"},
        {"gfx1151 s_waitcnt_vscnt null, 0x0 #2", "only the counter was changed since, which is read atomically"},
        {"gfx1151 s_and_saveexec_b32 s1, s4 #1", same},
        {"gfx942 s_and_saveexec_b64 s[12:13], s[4:5] #1", same},
        {"gfx942 s_and_saveexec_b64 s[12:13], vcc #1", one},
        {"gfx942 v_mov_b32_e32 v0, 0 #1", zero},
        {"gfx942 s_waitcnt vmcnt(0) #1", "the wave that releases has nothing outstanding: another one stored"},
        {"gfx942 s_or_b64 exec, exec, s[12:13] #2", one},
        {"gfx942 v_mov_b32_e32 v0, 0 #2", zero},
        {"gfx942 s_and_saveexec_b64 s[0:1], s[4:5] #1", same}}});
  all.push_back({"histogram",
                 histogram_kernel(),
                 2,
                 128,
                 {bins, zeros},
                 {},
                 {{"gfx1151 buffer_gl0_inv #1", lds_only}, {"gfx1151 buffer_gl0_inv #2", lds_only}}});
  return all;
}

std::vector<Instruction> decode(const std::string& chip, const std::vector<std::byte>& file) {
  const CodeRange code = code_range(file, "k");
  const Decoder decoder(*find_chip(chip), chip == "gfx942" ? 64 : 32);
  std::vector<Instruction> all;
  for (std::size_t at = code.begin; at < code.end;) {
    auto in = decoder.decode(std::span(file).subspan(at, code.end - at), at);
    if (!in) break;
    at += in->bytes;
    all.push_back(std::move(*in));
  }
  return all;
}

class PlantedBugs : public ::testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(PlantedBugs, EachIsReportedOrRedundant) {
  const auto& [chip, index] = GetParam();
  const Planted planted = kernels()[static_cast<std::size_t>(index)];
  KernelRun good;
  good.file = compile_ir(chip, planted.ir);
  good.chip = chip;
  good.groups = planted.groups;
  good.items = planted.items;
  good.buffers = planted.buffers;
  good.scalars = planted.scalars;
  good.stale = true;
  good.max_instructions = 100000;  // a spin takes the turns of a workgroup alone first
  const KernelRun before = good;
  const Outcome right = run_kernel(good);
  ASSERT_TRUE(right.completed) << texts(right);
  ASSERT_TRUE(right.reports.empty()) << texts(right);
  std::map<std::string, int> seen;
  int planted_bugs = 0, reported = 0, changed = 0;
  for (const Instruction& in : decode(chip, before.file)) {
    const Role role = role_of(in);
    if (role == Role::none) continue;
    ++planted_bugs;
    const std::string key = fmt::format("{} {} #{}", chip, in.text, ++seen[in.text]);
    KernelRun bad = before;
    for (std::size_t i = 0; i < in.bytes; i += 4) std::memcpy(bad.file.data() + in.address + i, &kNop, 4);
    const Outcome o = run_kernel(bad);
    const std::string what = fmt::format("{} {}: {} at {:#x}", chip, planted.name, in.text, in.address);
    if (!o.reports.empty()) {
      ++reported;
      const bool fitting = std::ranges::any_of(o.reports, [&](const Report& r) { return fits(role, r.kind); });
      EXPECT_TRUE(fitting) << what << "\n" << texts(o);
      continue;
    }
    bool same = o.completed;
    for (std::size_t i = 0; i < bad.buffers.size(); ++i) same &= bad.buffers[i].words == good.buffers[i].words;
    const bool may_change = role == Role::exec || role == Role::initialisation;
    if (!same && may_change) {
      ++changed;
      continue;
    }
    EXPECT_TRUE(same) << what << ": no report, and another result";
    EXPECT_TRUE(planted.redundant.contains(key)) << what << " (" << key << "): no report, and the result is right";
  }
  std::printf("%s %s: %d planted, %d reported, %d change the result\n", chip.c_str(), planted.name.c_str(),
              planted_bugs, reported, changed);
  EXPECT_GT(reported, 0);
}

INSTANTIATE_TEST_SUITE_P(All, PlantedBugs,
                         ::testing::Combine(::testing::Values("gfx1151", "gfx942"), ::testing::Range(0, 4)),
                         [](const auto& info) {
                           return fmt::format("{}_{}", std::get<0>(info.param),
                                              kernels()[static_cast<std::size_t>(std::get<1>(info.param))].name);
                         });

}  // namespace
}  // namespace wavetile::emu::testing
