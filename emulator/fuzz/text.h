// Programs as LLVM IR: kernels for an AMD chip, or functions of one work-item for the host.
#pragma once

#include <string>
#include <vector>

#include "emulator/fuzz/program.h"

namespace wavetile::fuzz {

enum class Side { amd, host };

/// A module with a function for each program, named by function_name(). Kernels take (input, uniform, own, shared, out,
/// scalars); host functions HostFunction's arguments, and call what definitions() lists.
std::string write(const std::vector<const Program*>& programs, Side side);
std::string function_name(const Program& program);
/// Values of the arguments by value, as bytes laid out for a kernel after its five pointers.
std::vector<std::uint8_t> scalar_arguments(const Program& program);

using HostFunction = void (*)(const void* input, const void* uniform, void* own, void* shared, void* out, void* lds,
                              std::uint32_t item, std::uint32_t group, std::uint32_t, std::uint64_t, std::uint32_t,
                              std::uint64_t);

}  // namespace wavetile::fuzz
