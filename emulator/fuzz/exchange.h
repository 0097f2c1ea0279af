// Operations across lanes by their definition, on plain data: what each active lane gets.
#pragma once

#include <array>
#include <cstdint>

namespace wavetile::fuzz {

enum class Exchange : int {
  read_first,  // value of the first active lane
  read_lane,   // value of lane a
  ballot,      // the active lanes whose value is not 0
  bpermute,    // value of lane other / 4, 0 where that is off
  permute,     // to lane other / 4, 0 where none sends
  swizzle,     // a: ds_swizzle's offset field
  dpp,         // other: the old value; a: control | row_mask << 12 | bank_mask << 16 | bound_ctrl << 20
  dpp8,        // a: eight selectors of 3 bits
  permlane16,  // other: the old value; a: sixteen selectors of 4 bits; b: fetch inactive | bound control << 1
  permlanex16,
  permlane64,
  write_lane,  // value in lane a, other elsewhere
  add,         // over the active lanes
  umin,
  umax,
  smin,
  smax,
  bit_and,
  bit_or,
  bit_xor,
  barrier,  // of the workgroup
};

struct Asked {  // by one lane
  Exchange kind;
  std::uint64_t value, other, a, b;
};

/// A wave of `lanes`, of which those in `active` asked. `half_permute`: ds_bpermute and ds_permute stay in 32 lanes.
std::array<std::uint64_t, 64> exchange(const std::array<Asked, 64>& asked, std::uint64_t active, int lanes,
                                       bool half_permute);

}  // namespace wavetile::fuzz
