// What the host's programs call: the chips' special instructions by their definition, in plain C++, after AMD's ISA
// documents; and the conversions that LLVM leaves to a runtime library.
#pragma once

#include <vector>

namespace wavetile::fuzz {

struct Definition {
  const char* name;
  const char* declaration;  // in LLVM IR, after "declare"
  void* address;
};
const std::vector<Definition>& definitions();

}  // namespace wavetile::fuzz
