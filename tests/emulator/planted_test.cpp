// Planted bugs: each barrier, wait, fence, change of EXEC and initialisation of a right kernel is replaced by s_nop in
// turn. It has to be reported, or the result has to be right all the same and the instruction be listed here with the
// reason. Changes of EXEC and initialisations may also make another program, whose result shows it. So may stores to
// memory, which are taken out too, as those to LDS are.
//
// A report counts only where the missing instruction explains it:
//   - of a barrier, a wait or a fence: it would have stood between the two instructions that are named;
//   - of a wait: what is used before it has come was loaded before the wait;
//   - of a constant: a register is read that may hold what comes of it;
//   - of a store: what is missing was loaded from its kind of memory, after it;
//   - of EXEC: the instruction that is reported, or the other one of a race, comes after the change.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <regex>
#include <set>

#include <fmt/format.h>

#include "emulator/decode.h"
#include "tests/emulator/compiler.h"
#include "tests/emulator/kernel_run.h"
#include "tests/emulator/planted_kernels.h"

namespace wavetile::emu::testing {
namespace {

constexpr std::uint32_t kNop = 0xbf800000;

enum class Role { none, barrier, wait, fence, exec, initialisation, store };

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
  if (begins(m, "ds_store") || begins(m, "ds_write") || begins(m, "global_store")) return Role::store;
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
      {Role::initialisation, {"uninitialised-register", "uninitialised-memory", "out-of-bounds"}},
      {Role::store, {"uninitialised-memory"}}};
  return std::ranges::find(kKinds.at(role), kind) != kKinds.at(role).end();
}

using Code = std::vector<Instruction>;

// The instructions that a report names, the first as the one that it is about: indices.
std::vector<std::size_t> parties(const Code& code, const Report& r) {
  std::vector<std::size_t> all;
  static const std::regex kPlace(" \\+ 0x([0-9a-f]+): ");
  for (auto at = std::sregex_iterator(r.text.begin(), r.text.end(), kPlace); at != std::sregex_iterator(); ++at) {
    const std::uint64_t address = code[0].address + std::stoull((*at)[1], nullptr, 16);
    const auto found = std::ranges::find(code, address, &Instruction::address);
    if (found != code.end()) all.push_back(static_cast<std::size_t>(found - code.begin()));
  }
  return all;
}

// Whether control may go from `a` to `b`: they are in this order, or in a loop.
bool leads(const Code& code, std::size_t a, std::size_t b) {
  if (a < b) return true;
  for (std::size_t i = a; i < code.size(); ++i) {
    if (code[i].branch && code[i].target <= code[b].address) return true;
  }
  return false;
}

std::string space_of(const Instruction& in) {
  if (begins(in.mnemonic, "ds_")) return "LDS";
  return begins(in.mnemonic, "global_") ? "memory" : begins(in.mnemonic, "s_load") ? "constants" : "";
}

using Registers = std::set<std::pair<File, int>>;
bool any_of(const Registers& set, const std::vector<RegisterRange>& ranges) {
  return std::ranges::any_of(ranges, [&](const RegisterRange& r) {
    for (int k = 0; k < r.count; ++k) {
      if (set.contains({r.file, r.first + k})) return true;
    }
    return false;
  });
}

// Whether instruction `use` may read what comes of the one at `from`: through registers, and memory by its kind.
bool depends(const Code& code, std::size_t from, std::size_t use) {
  Registers registers;
  std::set<std::string> spaces;
  auto mark = [&](const Instruction& in, bool tainted) {
    for (const RegisterRange& r : in.writes) {
      for (int k = 0; k < r.count; ++k) {
        if (tainted) {
          registers.insert({r.file, r.first + k});
        } else if (r.file != File::vgpr || !begins(in.mnemonic, "v_cndmask")) {
          registers.erase({r.file, r.first + k});
        }
      }
    }
  };
  mark(code[from], true);
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = round == 0 ? from + 1 : 0; i < code.size(); ++i) {
      if (i == from || !leads(code, from, i)) continue;
      const bool reads = any_of(registers, code[i].reads);
      const std::string space = space_of(code[i]);
      if (i == use && reads) return true;
      const bool stores = code[i].writes.empty() && !space.empty();
      if (reads && stores) spaces.insert(space);
      mark(code[i], reads || (!stores && spaces.contains(space)));
    }
  }
  return false;
}

// Whether the report is one that the lack of code[gone] explains.
bool explained(const Code& code, std::size_t gone, Role role, const Report& r) {
  if (!fits(role, r.kind)) return false;
  const std::vector<std::size_t> named = parties(code, r);
  if (named.empty()) return r.kind == "deadlock" || r.kind == "too-long";
  const std::size_t at = named.front();
  // Where the value that is used, or the byte that is raced for, comes from.
  const std::size_t origin = named.back();
  switch (role) {
    case Role::barrier:
    case Role::fence:
    case Role::wait:
      if (r.kind == "uninitialised-memory") return leads(code, gone, origin);
      if (r.kind == "stale-read") return leads(code, gone, at);
      if (r.kind == "missing-wait") {
        Registers loaded;
        for (const RegisterRange& w : code[origin].writes) {
          for (int k = 0; k < w.count; ++k) loaded.insert({w.file, w.first + k});
        }
        if (!any_of(loaded, code[at].reads) && !any_of(loaded, code[at].writes)) return false;
      }
      return named.size() == 2 && ((leads(code, origin, gone) && leads(code, gone, at)) ||
                                   (leads(code, at, gone) && leads(code, gone, origin)));
    case Role::initialisation:
      return depends(code, gone, at);
    case Role::store:
      return leads(code, gone, origin) && space_of(code[origin]) == space_of(code[gone]);
    default:
      return leads(code, gone, at) || (r.kind == "race" && leads(code, gone, origin));
  }
}

struct Planted {
  std::string name;
  std::string ir;
  std::uint32_t groups;
  std::uint16_t items;
  std::vector<Buffer> buffers;
  std::vector<std::uint32_t> scalars;
  // "chip text #n", the how manieth with that text: why nothing is reported, and the result is right (or, of a store to
  // LDS, another one).
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
  const std::string stored = "something was stored there before";
  const std::string off = "lanes that stay off have nothing left to do";
  all.push_back({"reduction",
                 reduction_kernel(),
                 2,
                 256,
                 {reals, nothing},
                 {},
                 {{"gfx1151 buffer_gl0_inv #1", lds_only},
                  {"gfx1151 buffer_gl0_inv #2", lds_only},
                  {"gfx1151 ds_store_b32 v1, v2 #2", stored},
                  {"gfx942 ds_write_b32 v1, v2 #2", stored},
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

Code decode(const std::string& chip, const std::vector<std::byte>& file) {
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
  const Code code = decode(chip, before.file);
  for (const Instruction& in : code) {
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
      const auto gone = static_cast<std::size_t>(&in - code.data());
      const auto why = [&](const Report& r) { return explained(code, gone, role, r); };
      EXPECT_TRUE(std::ranges::all_of(o.reports, why)) << what << "\n" << texts(o);
      continue;
    }
    bool same = o.completed;
    for (std::size_t i = 0; i < bad.buffers.size(); ++i) same &= bad.buffers[i].words == good.buffers[i].words;
    const bool may_change = role == Role::exec || role == Role::initialisation ||
                            (role == Role::store && (space_of(in) == "memory" || planted.redundant.contains(key)));
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
