// Where a tile's elements lie in shared memory on their way from one layout to another.
//
//     place(coordinate) = XOR over the low bits of each axis' coordinate of their images  +  the rest x stride
//
// The map is solved from the two layouts: bits that both keep in registers come first, so that an access is as wide as
// can be (16 bytes at most); then come banks. Lanes that one pass of an access serves (as many as fill 128 bytes)
// differ in some bits of the coordinate when they write, in others when they read: a bit of the one kind and a bit of
// the other share a bit of the bank by XOR, so that neither has conflicts, and the second has a place of its own
// further up. What is left follows in the order of the reader's registers: machines that read two places at a time fill
// neighbouring registers with them.
#pragma once

#include <vector>

#include "codegen/layout.h"

namespace wavetile {

struct Swizzle {
  std::vector<std::vector<int>> image;  // an axis: of each low bit of its coordinate, in elements
  std::vector<int> stride;              // an axis: of what is above those bits
  int vector = 1;                       // elements that lie side by side for both layouts
  int elements = 0;                     // in all

  int place(const Coord& c) const;
  int bits(size_t axis) const { return static_cast<int>(image[axis].size()); }
};

/// For a tile that `from` covers, of elements of `size` bytes; axes of the two are the same.
Swizzle solve_swizzle(const Layout& from, const Layout& to, int size);

/// A thread's accesses of `vector` elements that lie side by side, s.vector or fewer: of each the registers in their
/// order.
/// @throws InternalError where the layout, which is none of the two, lacks some.
std::vector<std::vector<int>> accesses(const Swizzle& s, const Layout& l, int vector);

}  // namespace wavetile
