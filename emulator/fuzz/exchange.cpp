#include "emulator/fuzz/exchange.h"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace wavetile::fuzz {
namespace {

/// The lane whose value lane `l` reads, -1: none.
int dpp_source(int control, int l, int lanes) {
  const int row = l & ~15, in_row = l & 15, n = control & 15;
  auto inside = [&](int x) { return x >= 0 && x < 16 ? row + x : -1; };
  if (control < 0x100) return (l & ~3) | (control >> 2 * (l & 3) & 3);
  switch (control & ~15) {
    case 0x100:
      return inside(in_row + n);  // row_shl: towards lane 0
    case 0x110:
      return inside(in_row - n);  // row_shr
    case 0x120:
      return row + ((in_row - n) & 15);  // row_ror
    case 0x150:
      return row + n;  // row_share, row_newbcast
    case 0x160:
      return row + (in_row ^ n);  // row_xmask
    default:
      break;
  }
  switch (control) {
    case 0x130:
      return l + 1 < lanes ? l + 1 : -1;  // wave_shl
    case 0x134:
      return (l + 1) % lanes;  // wave_rol
    case 0x138:
      return l - 1;  // wave_shr
    case 0x13c:
      return (l + lanes - 1) % lanes;  // wave_ror
    case 0x140:
      return row + 15 - in_row;  // row_mirror
    case 0x141:
      return (l & ~7) + 7 - (l & 7);  // row_half_mirror
    case 0x142:
      return l >= 16 ? row - 1 : -1;  // row_bcast:15
    case 0x143:
      return l >= 32 ? 31 : -1;  // row_bcast:31
    default:
      throw std::logic_error("no such DPP control");
  }
}

int swizzle_source(unsigned offset, int l) {
  if (offset & 0x8000) return (l & ~3) | static_cast<int>(offset >> 2 * (l & 3) & 3);  // a permutation of quads
  const int in = l & 31;
  return (l & 32) |
         ((static_cast<int>((in & (offset & 31)) | (offset >> 5 & 31)) ^ static_cast<int>(offset >> 10 & 31)) & 31);
}

std::uint64_t reduced(Exchange kind, std::uint64_t x, std::uint64_t y) {
  const auto a = static_cast<std::uint32_t>(x), b = static_cast<std::uint32_t>(y);
  const auto sa = static_cast<std::int32_t>(a), sb = static_cast<std::int32_t>(b);
  switch (kind) {
    case Exchange::add:
      return a + b;
    case Exchange::umin:
      return std::min(a, b);
    case Exchange::umax:
      return std::max(a, b);
    case Exchange::smin:
      return static_cast<std::uint32_t>(std::min(sa, sb));
    case Exchange::smax:
      return static_cast<std::uint32_t>(std::max(sa, sb));
    case Exchange::bit_and:
      return a & b;
    case Exchange::bit_or:
      return a | b;
    default:
      return a ^ b;
  }
}

}  // namespace

std::array<std::uint64_t, 64> exchange(const std::array<Asked, 64>& asked, std::uint64_t active, int lanes,
                                       bool half_permute) {
  std::array<std::uint64_t, 64> result{};
  const int first = std::countr_zero(active);
  const Asked& any = asked[static_cast<std::size_t>(first)];
  auto on = [&](int l) { return l >= 0 && l < lanes && (active >> l & 1); };
  auto value = [&](int l) { return asked[static_cast<std::size_t>(l)].value; };
  auto addressed = [&](int l) {
    const int to = static_cast<int>(asked[static_cast<std::size_t>(l)].other >> 2);
    return half_permute ? (l & 32) | (to & 31) : to & (lanes - 1);
  };
  std::uint64_t all = 0;
  if (any.kind == Exchange::ballot) {
    for (int l = 0; l < lanes; ++l) all |= std::uint64_t{on(l) && value(l) != 0} << l;
  } else if (any.kind >= Exchange::add && any.kind <= Exchange::bit_xor) {
    all = value(first) & 0xffffffff;
    for (int l = first + 1; l < lanes; ++l)
      if (on(l)) all = reduced(any.kind, all, value(l));
  }
  for (int l = 0; l < lanes; ++l) {
    if (!on(l)) continue;
    const Asked& mine = asked[static_cast<std::size_t>(l)];
    std::uint64_t& r = result[static_cast<std::size_t>(l)];
    switch (any.kind) {
      case Exchange::read_first:
        r = value(first);
        break;
      case Exchange::read_lane:
        r = value(static_cast<int>(any.a));
        break;
      case Exchange::write_lane:
        r = l == static_cast<int>(any.a) ? mine.value : mine.other;
        break;
      case Exchange::bpermute:
        r = on(addressed(l)) ? value(addressed(l)) : 0;
        break;
      case Exchange::permute:
        for (int from = 0; from < lanes; ++from)
          if (on(from) && addressed(from) == l) r = value(from);
        break;
      case Exchange::swizzle: {
        const int from = swizzle_source(static_cast<unsigned>(any.a), l);
        r = on(from) ? value(from) : 0;
        break;
      }
      case Exchange::dpp: {
        const bool enabled = (any.a >> (12 + (l >> 4)) & 1) && (any.a >> (16 + (l >> 2 & 3)) & 1);
        const int from = dpp_source(static_cast<int>(any.a & 0xfff), l, lanes);
        r = !enabled ? mine.other : on(from) ? value(from) : any.a >> 20 & 1 ? 0 : mine.other;
        break;
      }
      case Exchange::dpp8: {
        const int from = (l & ~7) | static_cast<int>(any.a >> 3 * (l & 7) & 7);
        r = on(from) ? value(from) : 0;
        break;
      }
      case Exchange::permlane16:
      case Exchange::permlanex16: {
        const int row = (l & ~15) ^ (any.kind == Exchange::permlanex16 ? 16 : 0);
        const int from = row | static_cast<int>(any.a >> 4 * (l & 15) & 15);
        r = on(from) ? value(from) : any.b >> 1 & 1 ? 0 : mine.other;
        break;
      }
      case Exchange::permlane64:
        r = value(l ^ 32);
        break;
      default:
        r = all;
    }
  }
  return result;
}

}  // namespace wavetile::fuzz
