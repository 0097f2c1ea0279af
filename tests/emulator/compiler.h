// LLVM IR -> code objects, for tests: LLVM's AMDGPU back end and lld.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace wavetile::emu {

/// `ir` is the text of a module; its triple and data layout are set here. `features` as of -mattr, such as
/// "+wavefrontsize64". Throws std::runtime_error with LLVM's words.
std::vector<std::byte> compile_ir(std::string_view chip, std::string_view ir, const std::string& features = "",
                                  int optimisation = 2);

}  // namespace wavetile::emu
