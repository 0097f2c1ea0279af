// What all targets do alike with an LLVM module once it is lowered: optimise it, and write it out.
#pragma once

#include <string>
#include <vector>

#include <llvm/IR/Module.h>
#include <llvm/Support/CodeGen.h>
#include <llvm/Target/TargetMachine.h>

namespace wavetile {

/// LLVM's O2, in place, without what layouts have decided already: vectorising, unrolling, interleaving.
void optimise(llvm::Module& m, llvm::TargetMachine& tm);

/// Assembly or a relocatable object. Uses the module up. What the back end objects to is an InternalError.
/// `in_order` leaves instructions in the order in which lowering wrote them: it has arranged loads beside their uses,
/// and the machine scheduler, hiding latencies that out-of-order cores hide by themselves, would spill.
std::vector<char> emit(llvm::Module& m, llvm::TargetMachine& tm, llvm::CodeGenFileType type, bool in_order = false);

}  // namespace wavetile
