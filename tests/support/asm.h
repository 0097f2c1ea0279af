// Reading the assembly of AMD GPUs: what crosses lanes, what touches which memory.
#pragma once

#include <cctype>
#include <regex>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace wavetile {

/// The instructions of one kernel, without labels, directives and comments.
inline std::string instructions_of(const std::string& assembly, const std::string& kernel) {
  std::istringstream in(assembly);
  std::string line, out;
  bool inside = false;
  while (std::getline(in, line)) {
    if (line.rfind(kernel + ":", 0) == 0) inside = true;
    if (line.rfind(".Lfunc_end", 0) == 0) inside = false;
    if (inside && line.size() > 1 && line[0] == '\t' && std::isalpha(line[1]))
      out += line.substr(1, line.find(" ;") - 1) + "\n";
  }
  return out;
}

/// Matches of a regular expression; `pattern` stands at the start of an instruction.
inline int count_instructions(const std::string& instructions, const std::string& pattern) {
  std::regex r("(^|\n)(" + pattern + ")");
  return static_cast<int>(
      std::distance(std::sregex_iterator(instructions.begin(), instructions.end(), r), std::sregex_iterator()));
}

struct CrossLane {
  int dpp = 0, permlane = 0, swizzle = 0, bpermute = 0, readlane = 0;
  int steps() const { return dpp + permlane + swizzle; }
};
inline CrossLane count_cross_lane(const std::string& instructions) {
  return {count_instructions(instructions, "[^\n]*( quad_perm:| row_[a-z_]+:| row_(half_)?mirror| dpp8:)"),
          count_instructions(instructions, "v_permlane"), count_instructions(instructions, "ds_swizzle"),
          count_instructions(instructions, "ds_b?permute"), count_instructions(instructions, "v_readlane")};
}

/// How many instructions that match `pattern` stand where at least `loads` loads of global memory are on their way:
/// some that stand before it, and that nothing between has waited for. In the order of the text, as loops are laid out.
inline int count_under_loads(const std::string& instructions, const std::string& pattern, int loads) {
  const std::regex counted(pattern), load("global_load"),
      wait("s_wait(cnt.*vmcnt\\(|_loadcnt[a-z_]* )(0x)?([0-9a-f]+)");
  std::istringstream in(instructions);
  std::string line;
  int under_way = 0, found = 0;
  constexpr auto at_start = std::regex_constants::match_continuous;
  for (std::smatch m; std::getline(in, line);) {
    if (std::regex_search(line, m, load, at_start)) ++under_way;
    if (std::regex_search(line, m, wait, at_start))
      under_way = std::min(under_way, std::stoi(m[3], nullptr, m[2].length() ? 16 : 10));
    if (std::regex_search(line, m, counted, at_start)) found += under_way >= loads;
  }
  return found;
}

/// No register is spilled, a scalar to a lane of a vector register neither, and nothing lives in a lane's private
/// memory; of the whole file.
inline void expect_no_scratch(const std::string& assembly) {
  EXPECT_FALSE(std::regex_search(assembly, std::regex("\n\t(scratch_|buffer_(load|store)_(b|dword))")));
  for (const char* what : {"private_segment_fixed_size", "vgpr_spill_count", "sgpr_spill_count"}) {
    std::smatch m;
    EXPECT_FALSE(std::regex_search(assembly, m, std::regex(std::string("\\.") + what + ":\\s+[1-9][0-9]*"))) << m.str();
    EXPECT_NE(assembly.find(std::string(".") + what + ":"), std::string::npos) << "no metadata";
  }
}

/// Neither reads or writes LDS memory (ds_swizzle and ds_bpermute only use its crossbar) nor waits at a barrier.
inline void expect_no_shared_memory(const std::string& instructions) {
  EXPECT_EQ(count_instructions(instructions, "ds_(read|write|load|store)"), 0) << instructions;
  EXPECT_EQ(count_instructions(instructions, "s_barrier"), 0) << instructions;
}

}  // namespace wavetile
