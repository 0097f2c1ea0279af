// Every single bit of a kernel's text is flipped in turn, and what comes of it is put into a class: another result, an
// error that stops the run, a report, or nothing that can be seen. The last is allowed for listed reasons only, told
// from what the instruction was and what it has become.
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

std::vector<Instruction> decode_all(const std::string& chip, const std::vector<std::byte>& file) {
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

bool any_prefix(const std::string& s, std::initializer_list<std::string_view> with) {
  return std::ranges::any_of(with, [&](std::string_view w) { return s.starts_with(w); });
}

bool is_hint(const Instruction& in) {
  return any_prefix(in.mnemonic, {"s_nop",        "s_delay_alu", "s_clause",   "s_sendmsg",
                                  "s_setprio",    "s_sleep",     "s_code_end", "s_set_inst_prefetch",
                                  "s_version",    "s_wakeup",    "s_ttrace",   "s_incperf",
                                  "s_decperf",    "s_icache",    "s_dcache",   "s_waitcnt_depctr",
                                  "s_wait_event", "v_nop",       "s_trap",     "s_endpgm"});
}
bool is_wait(const Instruction& in) { return in.mnemonic.starts_with("s_wait"); }
bool is_memory(const Instruction& in) {
  return any_prefix(in.mnemonic, {"global_", "flat_", "scratch_", "buffer_", "ds_", "s_load", "s_buffer"});
}

constexpr const char* kEqual = "operations that are equal on these inputs";

// Why a flipped bit changes nothing; empty when there is no reason that is known.
std::string reason(const Instruction& was, const std::optional<Instruction>& is, bool executed) {
  if (!executed) return "code that is not reached";
  if (!is) return {};
  if (was.text == is->text) return "a bit that means nothing";
  if (is_hint(was) && is_hint(*is)) return "a hint";
  if (is_hint(was)) return "a hint became an instruction without effect here";
  if (is_wait(was) || is_wait(*is)) return "a wait: stricter, or nothing to wait for";
  if (is_memory(was) && was.mnemonic == is->mnemonic && was.operands.size() == is->operands.size())
    return "a cache policy, or the same address";
  return kEqual;
}

class BitFlips : public ::testing::TestWithParam<std::string> {};

TEST_P(BitFlips, EachIsSeenOrExplained) {
  const std::string chip = GetParam();
  KernelRun good;
  good.file = compile_ir(chip, histogram_kernel());
  good.chip = chip;
  good.items = 128;
  good.max_instructions = 5000;
  Buffer bins{std::vector<std::uint32_t>(128)};
  for (std::size_t i = 0; i < 128; ++i) bins.words[i] = static_cast<std::uint32_t>(i * i * 7919 % 10007);
  good.buffers = {bins, {std::vector<std::uint32_t>(64)}};
  const KernelRun before = good;
  const Outcome right = run_kernel(good);
  ASSERT_TRUE(right.completed && right.reports.empty()) << texts(right);
  const Decoder decoder(*find_chip(chip), chip == "gfx942" ? 64 : 32);
  std::map<std::string, int> classes;
  int unexplained = 0, flips = 0, equal = 0;
  for (const Instruction& in : decode_all(chip, before.file)) {
    for (int bit = 0; bit < in.bytes * 8; ++bit) {
      ++flips;
      KernelRun bad = before;
      bad.file[in.address + static_cast<std::size_t>(bit / 8)] ^= static_cast<std::byte>(1 << bit % 8);
      const Outcome o = run_kernel(bad);
      bool same = o.completed;
      for (std::size_t i = 0; i < bad.buffers.size(); ++i) same &= bad.buffers[i].words == good.buffers[i].words;
      const bool fatal = std::ranges::any_of(o.reports, &Report::fatal);
      if (fatal) {
        ++classes["error"];
      } else if (!o.reports.empty()) {
        ++classes["report"];
      } else if (!same) {
        ++classes["another result"];
      } else {
        const auto is = decoder.decode(std::span(bad.file).subspan(in.address, in.bytes + 8), in.address);
        const std::string why = reason(in, is, in.mnemonic != "s_code_end");
        ++classes["nothing: " + (why.empty() ? "unexplained" : why)];
        equal += why == kEqual;
        if (why.empty()) {
          ++unexplained;
          ADD_FAILURE() << in.text << ", bit " << bit;
        }
      }
    }
  }
  for (const auto& [name, n] : classes) std::printf("%s %s: %d\n", chip.c_str(), name.c_str(), n);
  EXPECT_EQ(unexplained, 0);
  // The class that says least stays small.
  EXPECT_LT(equal * 10, flips);
}

INSTANTIATE_TEST_SUITE_P(All, BitFlips, ::testing::Values("gfx1151", "gfx942"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace wavetile::emu::testing
