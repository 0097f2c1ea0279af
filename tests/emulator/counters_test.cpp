// Counters of kernels whose numbers can be worked out by hand.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "emulator/counters.h"
#include "tests/emulator/kernel_run.h"

namespace wavetile::emu::testing {
namespace {

std::shared_ptr<const Counters> count(const std::string& body, std::uint32_t groups = 1, unsigned lds = 0) {
  KernelRun r;
  r.file = assemble_kernel("gfx1151", {.body = body, .vgprs = 96, .lds = lds});
  r.checks = false;
  r.counters = true;
  r.groups = groups;
  r.buffers = {{std::vector<std::uint32_t>(4096, 1)}, {std::vector<std::uint32_t>(4096, 2)}};
  // Lines are counted by address.
  const Outcome o = run_kernel(r);
  EXPECT_TRUE(o.completed) << texts(o);
  return o.counters;
}

TEST(Counters, InstructionsByClassAndName) {
  const auto c = count(
      "v_add_u32 v1, v0, v0\nv_add_u32 v1, v0, v0\ns_mov_b32 s3, 1\ns_mov_b32 exec_lo, 15\n"
      "v_dual_mov_b32 v2, v0 :: v_dual_mov_b32 v3, v1",
      3);
  ASSERT_TRUE(c);
  EXPECT_EQ(c->workgroups, 3u);
  EXPECT_EQ(c->waves, 3u);
  EXPECT_EQ(c->instructions, 3u * 6);
  EXPECT_EQ(c->by_mnemonic.at("v_add_nc_u32"), 6u);
  EXPECT_EQ(c->by_mnemonic.at("v_dual_mov_b32 :: v_dual_mov_b32"), 3u);
  EXPECT_EQ(c->by_class[static_cast<int>(Class::salu)], 6u);
  EXPECT_EQ(c->by_class[static_cast<int>(Class::vopd)], 3u);
  EXPECT_EQ(c->vector_instructions, 9u);
  EXPECT_EQ(c->vector_lanes, 3u * (32 + 32 + 4));
}

TEST(Counters, BytesAndLines) {
  // s[4:5] is made a multiple of the line, so that the number of lines does not hang on where the buffer lies.
  const auto c = count(
      "s_load_b64 s[4:5], s[0:1], 0x0\nv_lshlrev_b32 v1, 2, v0\nv_lshlrev_b32 v2, 7, v0\n"
      "s_waitcnt lgkmcnt(0)\ns_add_u32 s4, s4, 127\ns_addc_u32 s5, s5, 0\ns_and_b32 s4, s4, 0xffffff80\n"
      "global_load_b32 v3, v1, s[4:5]\nglobal_load_b128 v[4:7], v2, s[4:5]\n"
      "s_waitcnt vmcnt(0)\nglobal_store_b32 v1, v3, s[4:5]\nglobal_atomic_add_u32 v1, v0, s[4:5]");
  const auto& t = c->traffic[static_cast<int>(Space::global)];
  EXPECT_EQ(t.accesses, 4u);
  EXPECT_EQ(t.loaded, 32u * 4 + 32 * 16);
  EXPECT_EQ(t.stored, 32u * 4);
  EXPECT_EQ(t.atomic, 32u * 4);
  EXPECT_EQ(c->line_bytes, 128);
  EXPECT_EQ(c->line_accesses, 4u);
  EXPECT_EQ(c->lines_touched, 1u + 32 + 1 + 1);
  EXPECT_EQ(c->distinct_lines_written, 1u);
  EXPECT_EQ(c->distinct_lines_read, 32u + 1);  // and the arguments'
}

TEST(Counters, BytesInFlight) {
  // Each load of 4 bytes at 128 bytes a lane brings 32 lines; read again, they are there already.
  const std::string address =
      "s_load_b64 s[4:5], s[0:1], 0x0\nv_lshlrev_b32 v1, 7, v0\ns_waitcnt lgkmcnt(0)\n"
      "s_add_u32 s4, s4, 127\ns_addc_u32 s5, s5, 0\ns_and_b32 s4, s4, 0xffffff80\n";
  const auto in_flight = [&](const std::string& body) { return count(address + body)->bytes_in_flight; };
  const std::string first = "global_load_b32 v3, v1, s[4:5]\n", second = "v_add_nc_u32 v2, 4, v1\n";
  constexpr std::uint64_t one = 32 * 128;
  EXPECT_EQ(in_flight(first), one);
  EXPECT_EQ(in_flight(first + second + "global_load_b32 v4, v2, s[4:5]\n"), one);
  const std::string half = "v_lshlrev_b32 v1, 6, v0\n", far = "global_load_b32 v4, v1, s[4:5] offset:2048\n";
  EXPECT_EQ(in_flight(half + first + far), one);
  EXPECT_EQ(in_flight(half + first + "s_waitcnt vmcnt(0)\n" + far), one / 2);
  EXPECT_EQ(in_flight(half + first + "s_waitcnt vmcnt(1)\n" + far), one);
  EXPECT_EQ(in_flight(half + first + "global_store_b32 v1, v0, s[4:5]\ns_waitcnt vmcnt(0)\n" + far), one / 2);
}

TEST(Counters, BanksOfLds) {
  // Lane i at dword i: no conflict. At dword 2 i: two lanes a bank. At dword 32 i: all in one. At dword 0: shared.
  const auto cycles = [](int shift) {
    return count("v_lshlrev_b32 v1, " + std::to_string(shift) + ", v0\nds_store_b32 v1, v0", 1, 8192)
        ->lds_conflict_cycles;
  };
  EXPECT_EQ(cycles(2), 0u);
  EXPECT_EQ(cycles(3), 1u);
  EXPECT_EQ(cycles(7), 31u);
  EXPECT_EQ(count("v_mov_b32 v1, 0\nds_load_b32 v2, v1", 1, 64)->lds_conflict_cycles, 0u);
  // 16 bytes a lane: four passes of eight lanes, which fill the banks.
  const auto wide = count("v_lshlrev_b32 v1, 4, v0\nds_load_b128 v[4:7], v1", 1, 1024);
  EXPECT_EQ(wide->lds_passes, 4u);
  EXPECT_EQ(wide->lds_conflict_cycles, 0u);
}

TEST(Counters, ResourcesAsTextAndJson) {
  const auto c = count("v_mov_b32 v1, 0", 1, 4096);
  EXPECT_EQ(c->vgprs, 96);
  EXPECT_EQ(c->lds_bytes, 4096u);
  EXPECT_EQ(c->waves_per_simd, 8);  // 16 workgroups fit the LDS, on two SIMDs
  const auto j = nlohmann::json::parse(c->to_json());
  EXPECT_EQ(j["instructions"], 2);
  EXPECT_EQ(j["by_class"]["valu"], 1);
  EXPECT_EQ(j["traffic"]["lds"]["loaded"], 0);
  EXPECT_NE(c->to_text().find("96 VGPRs"), std::string::npos);
}

TEST(Counters, ComeBackFromJson) {
  const auto c = count("global_load_b32 v1, v0, s[0:1]\nds_load_b32 v2, v0\ns_waitcnt vmcnt(0)", 3, 4096);
  EXPECT_EQ(Counters::from_json(c->to_json()).to_json(), c->to_json());
  auto error_of = [](const std::string& text) -> std::string {
    try {
      Counters::from_json(text);
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "none";
  };
  auto broken = nlohmann::json::parse(c->to_json());
  broken["by_class"].erase("valu");
  EXPECT_EQ(error_of(broken.dump()), "counters: field /by_class/valu is missing");
  broken = nlohmann::json::parse(c->to_json());
  broken["waves"] = "many";
  EXPECT_EQ(error_of(broken.dump()), "counters: field /waves has a value of the wrong type");
  EXPECT_EQ(error_of("{}"), "counters: field /kernel is missing");
  EXPECT_EQ(error_of("{\"kernel\": "), "counters: not JSON: a mistake at byte 12");
}

}  // namespace
}  // namespace wavetile::emu::testing
