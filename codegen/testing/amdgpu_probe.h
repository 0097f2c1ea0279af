// Small kernels that no DSL kernel gives, for tests of the amdgpu target alone.
#pragma once

#include <string>
#include <vector>

namespace wavetile {

/// The assembly of kernel 'shuffle', which loads a word a lane, moves it as a LaneMap of these bases and offset says,
/// and stores it.
std::string shuffle_assembly(const std::string& chip, const std::vector<int>& bases, int offset);

/// Compiles a kernel for an RDNA chip that asks for a matrix instruction which only CDNA chips have.
/// @throws InternalError with LLVM's words.
void compile_foreign_instruction(const std::string& chip);

}  // namespace wavetile
