#include "codegen/testing/amdgpu_probe.h"

#include <functional>

#include <llvm/IR/IntrinsicsAMDGPU.h>
#include <llvm/IR/LLVMContext.h>

#include "codegen/compile.h"
#include "codegen/target.h"

namespace wavetile {
namespace {

/// A kernel of one warp; `value` makes what each lane stores of what it loaded.
std::unique_ptr<llvm::Module> kernel(llvm::LLVMContext& context, const Target& target, const std::string& symbol,
                                     const std::function<llvm::Value*(Builder&, llvm::Value*)>& value) {
  auto m = std::make_unique<llvm::Module>(symbol, context);
  Builder b(context);
  target.prepare(*m);
  Entry e = target.begin_kernel(*m, b, symbol, 1, 1);
  target.run_blocks(b, e, [&](llvm::Value*) {
    auto* base = b.CreateIntToPtr(e.args[0], llvm::PointerType::get(context, target.global_address_space()));
    auto* mine = b.CreateGEP(b.getInt32Ty(), base, target.lane_id(b));
    b.CreateStore(value(b, b.CreateLoad(b.getInt32Ty(), mine)), mine);
  });
  return m;
}

}  // namespace

std::string shuffle_assembly(const std::string& chip, const std::vector<int>& bases, int offset) {
  auto target = amdgpu_target(chip);
  llvm::LLVMContext context;
  auto m = kernel(context, *target, "shuffle", [&](Builder& b, llvm::Value* v) {
    return target->shuffle(b, v, {bases, offset});
  });
  return target->assembly(*m);
}

void compile_foreign_instruction(const std::string& chip) {
  auto target = amdgpu_target(chip);
  llvm::LLVMContext context;
  auto m = kernel(context, *target, "foreign", [&](Builder& b, llvm::Value* v) {
    auto* x = b.CreateBitCast(v, b.getFloatTy());
    auto* zero = llvm::Constant::getNullValue(llvm::FixedVectorType::get(b.getFloatTy(), 4));
    return b.CreateIntrinsic(llvm::Intrinsic::amdgcn_mfma_f32_4x4x1f32, {},
                             {x, x, zero, b.getInt32(0), b.getInt32(0), b.getInt32(0)});
  });
  target->object(*m);
}

}  // namespace wavetile
