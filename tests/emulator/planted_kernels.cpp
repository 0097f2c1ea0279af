#include "tests/emulator/planted_kernels.h"

#include <fmt/format.h>

namespace wavetile::emu::testing {
namespace {

constexpr const char* kBarrier = R"(
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier()
  fence syncscope("workgroup") acquire
)";
constexpr const char* kDeclarations = R"(
declare i32 @llvm.amdgcn.workitem.id.x()
declare i32 @llvm.amdgcn.workgroup.id.x()
declare void @llvm.amdgcn.s.barrier()
declare float @llvm.fma.f32(float, float, float)
)";

std::string attributes(int items) {
  return fmt::format(
      "attributes #0 = {{ \"amdgpu-flat-work-group-size\"=\"{0},{0}\" \"amdgpu-implicitarg-num-bytes\"=\"0\" "
      "\"amdgpu-no-dispatch-ptr\" \"amdgpu-no-queue-ptr\" \"amdgpu-no-dispatch-id\" \"amdgpu-no-workitem-id-y\" "
      "\"amdgpu-no-workitem-id-z\" \"amdgpu-no-workgroup-id-y\" \"amdgpu-no-workgroup-id-z\" }}\n",
      items);
}

}  // namespace

std::string reduction_kernel() {
  std::string ir = R"(
@sums = internal addrspace(3) global [256 x float] poison, align 16
define amdgpu_kernel void @k(ptr addrspace(1) %in, ptr addrspace(1) %out) #0 {
entry:
  %id = call i32 @llvm.amdgcn.workitem.id.x()
  %group = call i32 @llvm.amdgcn.workgroup.id.x()
  %base = shl i32 %group, 8
  %index = add i32 %base, %id
  %from = getelementptr float, ptr addrspace(1) %in, i32 %index
  %value = load float, ptr addrspace(1) %from
  %mine = getelementptr float, ptr addrspace(3) @sums, i32 %id
  store float %value, ptr addrspace(3) %mine
)";
  ir += kBarrier;
  ir +=
      "  br label %step\nstep:\n  %n = phi i32 [128, %entry], [%half, %next]\n  %on = icmp ult i32 %id, %n\n"
      "  br i1 %on, label %add, label %next\nadd:\n  %other = add i32 %id, %n\n"
      "  %there = getelementptr float, ptr addrspace(3) @sums, i32 %other\n"
      "  %a = load float, ptr addrspace(3) %mine\n  %b = load float, ptr addrspace(3) %there\n"
      "  %s = fadd float %a, %b\n  store float %s, ptr addrspace(3) %mine\n  br label %next\nnext:\n";
  ir += kBarrier;
  ir +=
      "  %half = lshr i32 %n, 1\n  %more = icmp ne i32 %half, 0\n  br i1 %more, label %step, label %done\ndone:\n"
      "  %first = icmp eq i32 %id, 0\n  br i1 %first, label %write, label %end\nwrite:\n"
      "  %total = load float, ptr addrspace(3) @sums\n"
      "  %to = getelementptr float, ptr addrspace(1) %out, i32 %group\n  store float %total, ptr addrspace(1) %to\n"
      "  br label %end\nend:\n  ret void\n}\n";
  return ir + kDeclarations + attributes(256);
}

std::string product_kernel() {
  std::string ir = R"(
@as = internal addrspace(3) global [512 x float] poison, align 16
@bs = internal addrspace(3) global [512 x float] poison, align 16
define amdgpu_kernel void @k(ptr addrspace(1) %a, ptr addrspace(1) %b, ptr addrspace(1) %c) #0 {
entry:
  %id = call i32 @llvm.amdgcn.workitem.id.x()
  %row = lshr i32 %id, 4
  %col = and i32 %id, 15
  %rowk = shl i32 %row, 6
  %rowt = shl i32 %row, 4
  br label %loop
loop:
  %k = phi i32 [0, %entry], [%knext, %loop]
  %sum = phi float [0.0, %entry], [%r15, %loop]
  %buffer = shl i32 %k, 4
  %which = and i32 %buffer, 256
  %acol = add i32 %k, %col
  %ai = add i32 %rowk, %acol
  %ap = getelementptr float, ptr addrspace(1) %a, i32 %ai
  %av = load float, ptr addrspace(1) %ap
  %brow = add i32 %k, %row
  %brow16 = shl i32 %brow, 4
  %bi = add i32 %brow16, %col
  %bp = getelementptr float, ptr addrspace(1) %b, i32 %bi
  %bv = load float, ptr addrspace(1) %bp
  %to = add i32 %which, %id
  %at = getelementptr float, ptr addrspace(3) @as, i32 %to
  %bt = getelementptr float, ptr addrspace(3) @bs, i32 %to
  store float %av, ptr addrspace(3) %at
  store float %bv, ptr addrspace(3) %bt
)";
  ir += kBarrier;
  ir += "  %arow = add i32 %which, %rowt\n  %bcol = add i32 %which, %col\n";
  for (int i = 0; i < 16; ++i) {
    ir += fmt::format(
        "  %ax{0} = add i32 %arow, {0}\n  %aq{0} = getelementptr float, ptr addrspace(3) @as, i32 %ax{0}\n"
        "  %aw{0} = load float, ptr addrspace(3) %aq{0}\n  %bx{0} = add i32 %bcol, {1}\n"
        "  %bq{0} = getelementptr float, ptr addrspace(3) @bs, i32 %bx{0}\n"
        "  %bw{0} = load float, ptr addrspace(3) %bq{0}\n"
        "  %r{0} = call float @llvm.fma.f32(float %aw{0}, float %bw{0}, float {2})\n",
        i, i * 16, i == 0 ? std::string("%sum") : fmt::format("%r{}", i - 1));
  }
  ir +=
      "  %knext = add i32 %k, 16\n  %more = icmp ult i32 %knext, 64\n  br i1 %more, label %loop, label %done\ndone:\n"
      "  %cp = getelementptr float, ptr addrspace(1) %c, i32 %id\n  store float %r15, ptr addrspace(1) %cp\n"
      "  ret void\n}\n";
  return ir + kDeclarations + attributes(256);
}

std::string grid_kernel() {
  std::string ir = R"(
define amdgpu_kernel void @k(ptr addrspace(1) %data, ptr addrspace(1) %counter, ptr addrspace(1) %out, i32 %groups) #0 {
entry:
  %id = call i32 @llvm.amdgcn.workitem.id.x()
  %group = call i32 @llvm.amdgcn.workgroup.id.x()
  %first = icmp eq i32 %id, 0
  %last = icmp eq i32 %id, 127
  br i1 %last, label %write, label %written
write:
  %mine = getelementptr i32, ptr addrspace(1) %data, i32 %group
  %value = add i32 %group, 1
  store i32 %value, ptr addrspace(1) %mine
  br label %written
written:
)";
  ir += kBarrier;
  ir += R"(  br i1 %first, label %arrive, label %released
arrive:
  %old = atomicrmw add ptr addrspace(1) %counter, i32 1 syncscope("agent") release
  br label %spin
spin:
  %seen = load atomic i32, ptr addrspace(1) %counter syncscope("agent") acquire, align 4
  %all = icmp uge i32 %seen, %groups
  br i1 %all, label %released, label %spin
released:
)";
  ir += kBarrier;
  ir += R"(  br i1 %last, label %read, label %end
read:
  %next = add i32 %group, 1
  %wraps = icmp eq i32 %next, %groups
  %neighbour = select i1 %wraps, i32 0, i32 %next
  %theirs = getelementptr i32, ptr addrspace(1) %data, i32 %neighbour
  %got = load i32, ptr addrspace(1) %theirs
  %to = getelementptr i32, ptr addrspace(1) %out, i32 %group
  store i32 %got, ptr addrspace(1) %to
  br label %end
end:
  ret void
}
)";
  return ir + kDeclarations + attributes(128);
}

std::string histogram_kernel() {
  std::string ir = R"(
@bins = internal addrspace(3) global [64 x i32] poison, align 16
define amdgpu_kernel void @k(ptr addrspace(1) %in, ptr addrspace(1) %out) #0 {
entry:
  %id = call i32 @llvm.amdgcn.workitem.id.x()
  %group = call i32 @llvm.amdgcn.workgroup.id.x()
  %own = getelementptr i32, ptr addrspace(3) @bins, i32 %id
  %low = icmp ult i32 %id, 64
  br i1 %low, label %clear, label %cleared
clear:
  store i32 0, ptr addrspace(3) %own
  br label %cleared
cleared:
)";
  ir += kBarrier;
  ir += R"(  %base = shl i32 %group, 7
  %index = add i32 %base, %id
  %from = getelementptr i32, ptr addrspace(1) %in, i32 %index
  %value = load i32, ptr addrspace(1) %from
  %bin = and i32 %value, 63
  %slot = getelementptr i32, ptr addrspace(3) @bins, i32 %bin
  %old = atomicrmw add ptr addrspace(3) %slot, i32 1 syncscope("workgroup") monotonic
)";
  ir += kBarrier;
  ir += R"(  br i1 %low, label %flush, label %end
flush:
  %count = load i32, ptr addrspace(3) %own
  %to = getelementptr i32, ptr addrspace(1) %out, i32 %id
  %was = atomicrmw add ptr addrspace(1) %to, i32 %count syncscope("agent") monotonic
  br label %end
end:
  ret void
}
)";
  return ir + kDeclarations + attributes(128);
}

}  // namespace wavetile::emu::testing
