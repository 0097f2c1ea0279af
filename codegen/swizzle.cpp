#include "codegen/swizzle.h"

#include <algorithm>
#include <bit>
#include <map>

#include "dsl/error.h"

namespace wavetile {
namespace {

constexpr int access_bytes = 16, pass_bytes = 128;  // of a lane; of all banks: 32 of 4 bytes

int log2_of(int n) { return std::bit_width(static_cast<unsigned>(n)) - 1; }

struct Bit {
  size_t axis;
  int bit;
  bool operator==(const Bit&) const = default;
};
using Bits = std::vector<Bit>;
bool has(const Bits& bits, const Bit& b) { return std::find(bits.begin(), bits.end(), b) != bits.end(); }

// The bits of a coordinate that some bases stand for; a basis of none or several gives none.
Bits bits_of(const Bases& bases, size_t count) {
  Bits bits;
  for (size_t i = 0; i < std::min(count, bases.size()); ++i) {
    Bits own;
    for (size_t a = 0; a < bases[i].size(); ++a)
      for (int b = 0; bases[i][a] >> b; ++b)
        if (bases[i][a] >> b & 1) own.push_back({a, b});
    if (own.size() == 1) bits.push_back(own[0]);
  }
  return bits;
}
// Those that tell registers apart.
Bits register_bits(const Layout& l, const Swizzle& s) {
  Bits bits = bits_of(l.reg, l.reg.size());
  for (size_t a = 0; a < l.axes.size(); ++a)
    for (int b = log2_of(l.block[a]); b < s.bits(a); ++b) bits.push_back({a, b});
  return bits;
}

}  // namespace

int Swizzle::place(const Coord& c) const {
  int low = 0, high = 0;
  for (size_t a = 0; a < c.size(); ++a) {
    for (int b = 0; b < bits(a); ++b)
      if (c[a] >> b & 1) low ^= image[a][static_cast<size_t>(b)];
    high += (c[a] >> bits(a)) * stride[a];
  }
  return low + high;
}

Swizzle solve_swizzle(const Layout& from, const Layout& to, int size) {
  Swizzle s;
  size_t axes = from.axes.size();
  Bits all;
  for (size_t a = 0; a < axes; ++a) {
    s.image.emplace_back(std::countr_zero(static_cast<unsigned>(from.extent(from.axes[a]))), 0);
    for (int b = 0; b < s.bits(a); ++b) all.push_back({a, b});
  }
  s.elements = 1 << all.size();
  for (size_t a = axes; a-- > 0;) {
    s.stride.insert(s.stride.begin(), s.elements);
    s.elements *= from.extent(from.axes[a]) >> s.bits(a);
  }
  auto image = [&](const Bit& b) -> int& { return s.image[b.axis][static_cast<size_t>(b.bit)]; };
  auto inside = [&](Bits bits) {
    std::erase_if(bits, [&](const Bit& b) { return !has(all, b) || image(b); });
    return bits;
  };
  int next = 0;  // the bit of the place that is given out next
  const Bits wanted = inside(register_bits(to, s)), held = inside(register_bits(from, s));
  for (const Bit& b : wanted)
    if (has(held, b) && size << next < access_bytes) image(b) = 1 << next++;
  s.vector = 1 << next;

  const int banks = log2_of(std::max(1, pass_bytes / (size * s.vector)));
  const Bits writers = inside(bits_of(from.lane, static_cast<size_t>(banks))),
             readers = inside(bits_of(to.lane, static_cast<size_t>(banks)));
  for (const Bit& b : writers)
    if (has(readers, b)) image(b) = 1 << next++;
  std::vector<int> shared;  // places of the writers' own bits
  for (const Bit& b : writers)
    if (!image(b)) shared.push_back(image(b) = 1 << next++);
  size_t partner = 0;
  for (const Bit& b : readers)
    if (!image(b) && partner >= shared.size())
      image(b) = 1 << next++;
    else if (!image(b))
      image(b) = -shared[partner++];  // until the rest has a place
  for (const Bits& rest : {wanted, all})
    for (const Bit& b : rest)
      if (!image(b)) image(b) = 1 << next++;
  for (const Bit& b : readers)
    if (image(b) < 0) image(b) = -image(b) | 1 << next++;
  return s;
}

std::vector<std::vector<int>> accesses(const Swizzle& s, const Layout& l, int vector) {
  std::map<int, std::vector<int>> groups;
  for (int r = 0; r < l.registers(); ++r) {
    int at = s.place(l.at(r, 0, 0));
    auto& group = groups[at / vector];
    group.resize(static_cast<size_t>(vector), -1);
    group[static_cast<size_t>(at % vector)] = r;
  }
  std::vector<std::vector<int>> all;
  for (auto& [at, regs] : groups) {
    if (std::find(regs.begin(), regs.end(), -1) != regs.end())
      throw InternalError("shared memory: a layout lacks elements of a wide access");
    all.push_back(regs);
  }
  return all;
}

}  // namespace wavetile
