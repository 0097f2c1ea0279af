// How fast the emulator runs machine code: wave instructions a second on one core, without checks and with all of them.
// The kernels are LLVM's code for a tiled f32 product through LDS and for a product on WMMA.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "emulator/emulator.h"
#include "tests/emulator/compiler.h"

namespace {

using namespace wavetile::emu;

// C[64 x 64] of a workgroup = A[64 x K] B[K x 64]: 256 work-items, 4 x 4 results each, steps of 16 in LDS.
std::string f32_kernel() {
  std::string ir = R"(
@a = internal addrspace(3) global [1024 x float] poison, align 16
@b = internal addrspace(3) global [1024 x float] poison, align 16
define amdgpu_kernel void @product(ptr addrspace(1) noalias readonly align 16 %A, ptr addrspace(1) noalias readonly align 16 %B, ptr addrspace(1) noalias align 16 %C, i32 %K) #0 {
entry:
  %id = call i32 @llvm.amdgcn.workitem.id.x()
  %group = call i32 @llvm.amdgcn.workgroup.id.x()
  %row4 = lshr i32 %id, 4
  %row = shl i32 %row4, 2
  %col15 = and i32 %id, 15
  %col = shl i32 %col15, 2
  %ar = lshr i32 %id, 2
  %ac3 = and i32 %id, 3
  %ac = shl i32 %ac3, 2
  %first = shl i32 %group, 6
  %arow = add i32 %first, %ar
  %abase = mul i32 %arow, %K
  %atile = shl i32 %ar, 4
  %ato = add i32 %atile, %ac
  %alds = getelementptr float, ptr addrspace(3) @a, i32 %ato
  %bto = shl i32 %id, 2
  %blds = getelementptr float, ptr addrspace(3) @b, i32 %bto
  br label %loop
loop:
  %k = phi i32 [0, %entry], [%knext, %loop]
)";
  for (int i = 0; i < 16; ++i) ir += fmt::format("  %acc{0} = phi float [0.0, %entry], [%r15_{0}, %loop]\n", i);
  ir += R"(
  %acol = add i32 %k, %ac
  %aindex = add i32 %abase, %acol
  %ap = getelementptr float, ptr addrspace(1) %A, i32 %aindex
  %av = load <4 x float>, ptr addrspace(1) %ap, align 16
  %boff = shl i32 %k, 6
  %bindex = add i32 %boff, %bto
  %bp = getelementptr float, ptr addrspace(1) %B, i32 %bindex
  %bv = load <4 x float>, ptr addrspace(1) %bp, align 16
  store <4 x float> %av, ptr addrspace(3) %alds, align 16
  store <4 x float> %bv, ptr addrspace(3) %blds, align 16
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier()
  fence syncscope("workgroup") acquire
)";
  for (int k = 0; k < 16; ++k) {
    ir += fmt::format(
        "  %bi{0} = add i32 %col, {1}\n  %bq{0} = getelementptr float, ptr addrspace(3) @b, i32 %bi{0}\n"
        "  %bw{0} = load <4 x float>, ptr addrspace(3) %bq{0}, align 16\n",
        k, k * 64);
    for (int i = 0; i < 4; ++i) {
      ir += fmt::format(
          "  %ai{0}_{1} = shl i32 %row, 4\n  %aj{0}_{1} = add i32 %ai{0}_{1}, {2}\n"
          "  %aq{0}_{1} = getelementptr float, ptr addrspace(3) @a, i32 %aj{0}_{1}\n"
          "  %aw{0}_{1} = load float, ptr addrspace(3) %aq{0}_{1}, align 4\n",
          k, i, i * 16 + k);
      for (int j = 0; j < 4; ++j) {
        const int n = 4 * i + j;
        const std::string old = k == 0 ? fmt::format("%acc{}", n) : fmt::format("%r{}_{}", k - 1, n);
        ir += fmt::format(
            "  %be{0}_{1} = extractelement <4 x float> %bw{0}, i32 {2}\n"
            "  %r{0}_{1} = call float @llvm.fma.f32(float %aw{0}_{3}, float %be{0}_{1}, float {4})\n",
            k, n, j, i, old);
      }
    }
  }
  ir += R"(
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier()
  fence syncscope("workgroup") acquire
  %knext = add i32 %k, 16
  %more = icmp ult i32 %knext, %K
  br i1 %more, label %loop, label %done
done:
  %crow = add i32 %first, %row
)";
  for (int i = 0; i < 4; ++i) {
    ir += fmt::format(
        "  %cr{0} = add i32 %crow, {0}\n  %cs{0} = shl i32 %cr{0}, 6\n  %ci{0} = add i32 %cs{0}, %col\n"
        "  %cp{0} = getelementptr float, ptr addrspace(1) %C, i32 %ci{0}\n",
        i);
    for (int j = 0; j < 4; ++j) {
      ir += fmt::format(
          "  %cq{0} = getelementptr float, ptr addrspace(1) %cp{1}, i32 {2}\n"
          "  store float %r15_{0}, ptr addrspace(1) %cq{0}, align 4\n",
          4 * i + j, i, j);
    }
  }
  return ir + R"(  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="256,256" "amdgpu-implicitarg-num-bytes"="0" })";
}

// C[16 x 64] of a wave = A[16 x K] B[K x 64] in f16, four results of WMMA a step; fragments straight from memory.
std::string wmma_kernel() {
  std::string ir = R"(
define amdgpu_kernel void @product(ptr addrspace(1) noalias readonly align 16 %A, ptr addrspace(1) noalias readonly align 16 %B, ptr addrspace(1) noalias align 16 %C, i32 %K) #0 {
entry:
  %id = call i32 @llvm.amdgcn.workitem.id.x()
  %group = call i32 @llvm.amdgcn.workgroup.id.x()
  %lane = and i32 %id, 15
  %first = shl i32 %group, 4
  %row = add i32 %first, %lane
  %abase = mul i32 %row, %K
  %bbase = mul i32 %lane, %K
  br label %loop
loop:
  %k = phi i32 [0, %entry], [%knext, %loop]
)";
  for (int i = 0; i < 4; ++i)
    ir += fmt::format("  %acc{0} = phi <8 x float> [zeroinitializer, %entry], [%r{0}, %loop]\n", i);
  ir +=
      "  %ai = add i32 %abase, %k\n  %ap = getelementptr half, ptr addrspace(1) %A, i32 %ai\n"
      "  %a = load <16 x half>, ptr addrspace(1) %ap, align 16\n  %bi = add i32 %bbase, %k\n";
  for (int i = 0; i < 4; ++i) {
    ir += fmt::format(
        "  %bo{0} = mul i32 %K, {1}\n  %bj{0} = add i32 %bi, %bo{0}\n"
        "  %bp{0} = getelementptr half, ptr addrspace(1) %B, i32 %bj{0}\n"
        "  %b{0} = load <16 x half>, ptr addrspace(1) %bp{0}, align 16\n"
        "  %r{0} = call <8 x float> @llvm.amdgcn.wmma.f32.16x16x16.f16.v8f32.v16f16(<16 x half> %a, <16 x half> %b{0}, "
        "<8 x float> %acc{0})\n",
        i, i * 16);
  }
  ir += R"(
  %knext = add i32 %k, 16
  %more = icmp ult i32 %knext, %K
  br i1 %more, label %loop, label %done
done:
  %half = lshr i32 %id, 4
  %cr = add i32 %first, %half
  %cs = shl i32 %cr, 6
  %ci = add i32 %cs, %lane
  %cp = getelementptr float, ptr addrspace(1) %C, i32 %ci
)";
  for (int i = 0; i < 4; ++i) {
    for (int r = 0; r < 8; ++r) {
      ir += fmt::format(
          "  %e{0}_{1} = extractelement <8 x float> %r{0}, i32 {1}\n"
          "  %cq{0}_{1} = getelementptr float, ptr addrspace(1) %cp, i32 {2}\n"
          "  store float %e{0}_{1}, ptr addrspace(1) %cq{0}_{1}, align 4\n",
          i, r, r * 128 + i * 16);
    }
  }
  return ir + R"(  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="32,32" "amdgpu-implicitarg-num-bytes"="0" })";
}

struct Buffer {
  Memory& memory;
  std::vector<char, std::allocator<char>> bytes;
  Buffer(Memory& m, std::size_t size, bool initialised) : memory(m), bytes(size) {
    memory.add(bytes.data(), size, "buffer", true, initialised);
  }
  ~Buffer() { memory.remove(bytes.data()); }
  std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(bytes.data()); }
};

void run(benchmark::State& state, bool wmma, bool checks) {
  constexpr int kK = 512;
  Options options;
  options.threads = 1;
  options.checks = checks;
  Emulator emulator(options);
  auto object = emulator.load(compile_ir("gfx1151", wmma ? wmma_kernel() : f32_kernel()), "product");
  const int groups = wmma ? 16 : 4;
  Buffer a(emulator.memory(), 256 * kK * 4, true), b(emulator.memory(), 64 * kK * 4, true),
      c(emulator.memory(), 256 * 64 * 4, false), arguments(emulator.memory(), 64, true);
  const std::uint64_t pointers[] = {a.address(), b.address(), c.address()};
  std::memcpy(arguments.bytes.data(), pointers, sizeof pointers);
  const int k = kK;
  std::memcpy(arguments.bytes.data() + sizeof pointers, &k, sizeof k);
  Dispatch d;
  d.kernel_object = object->kernels().at(0).descriptor;
  d.kernarg = arguments.address();
  d.workgroup = {static_cast<std::uint16_t>(wmma ? 32 : 256), 1, 1};
  d.grid = {static_cast<std::uint32_t>(groups) * d.workgroup[0], 1, 1};
  d.group_bytes = object->kernels()[0].group_bytes;
  std::uint64_t instructions = 0;
  for (auto _ : state) {
    const Outcome outcome = emulator.run(d);
    if (!outcome.completed || !outcome.reports.empty()) {
      state.SkipWithError(outcome.reports.empty() ? "not completed" : outcome.reports[0].text.c_str());
      break;
    }
    instructions += outcome.instructions;
  }
  state.counters["wave_instructions"] =
      benchmark::Counter(static_cast<double>(instructions), benchmark::Counter::kIsRate);
  emulator.unload(object);
}

BENCHMARK_CAPTURE(run, f32, false, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run, f32_checks, false, true)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run, wmma, true, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run, wmma_checks, true, true)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
