// Kernels in which each synchronising instruction matters, as LLVM IR.
#pragma once

#include <string>

namespace wavetile::emu::testing {

/// out[group] = sum of in[256 * group ..]: a tree in LDS. 256 work-items.
std::string reduction_kernel();
/// C = A B, 16 x 16 with k = 64, one result a work-item of 256; tiles of 16 in two LDS buffers.
std::string product_kernel();
/// data[group] = group + 1, a barrier of the grid by counter[0], out[group] = data[group + 1 mod groups]. 64
/// work-items; `groups` is an argument.
std::string grid_kernel();
/// A histogram of 64 bins of in[], in LDS and then in memory. 128 work-items.
std::string histogram_kernel();

}  // namespace wavetile::emu::testing
