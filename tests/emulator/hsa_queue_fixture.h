// A queue, kernels to run on it, and a producer of packets.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/emulator/compiler.h"
#include "tests/emulator/hsa_library.h"

namespace wavetile::emu {

// step: p[i] = p[i] * a + b for the i of the grid. wild: writes through p without looking. lds: needs 256 bytes of LDS.
inline constexpr const char* kQueueKernels = R"(
@tile = internal addrspace(3) global [64 x i32] poison, align 16
define amdgpu_kernel void @step(ptr addrspace(1) %p, i32 %a, i32 %b) #0 {
  %w = call i32 @llvm.amdgcn.workgroup.id.x()
  %l = call i32 @llvm.amdgcn.workitem.id.x()
  %base = mul i32 %w, 64
  %i = add i32 %base, %l
  %at = getelementptr i32, ptr addrspace(1) %p, i32 %i
  %v = load i32, ptr addrspace(1) %at
  %m = mul i32 %v, %a
  %r = add i32 %m, %b
  store i32 %r, ptr addrspace(1) %at
  ret void
}
define amdgpu_kernel void @wild(ptr addrspace(1) %p) #0 {
  store i32 1, ptr addrspace(1) %p
  ret void
}
define amdgpu_kernel void @lds(ptr addrspace(1) %p) #0 {
  %l = call i32 @llvm.amdgcn.workitem.id.x()
  %s = getelementptr i32, ptr addrspace(3) @tile, i32 %l
  store volatile i32 %l, ptr addrspace(3) %s
  %v = load volatile i32, ptr addrspace(3) %s
  %at = getelementptr i32, ptr addrspace(1) %p, i32 %l
  store i32 %v, ptr addrspace(1) %at
  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" "amdgpu-no-implicitarg-ptr" }
)";

struct Errors {
  std::mutex mutex;
  std::vector<hsa_status_t> statuses;
  static void add(hsa_status_t status, hsa_queue_t*, void* data) {
    auto* self = static_cast<Errors*>(data);
    const std::lock_guard lock(self->mutex);
    self->statuses.push_back(status);
  }
  std::size_t count() {
    const std::lock_guard lock(mutex);
    return statuses.size();
  }
};

class HsaQueue : public HsaTest {
 protected:
  void SetUp() override {
    HsaTest::SetUp();
    if (!HasFatalFailure()) load();
  }
  void TearDown() override {
    unload();
    HsaTest::TearDown();
  }
  void load(const char* chip = "gfx1151") {
    const std::vector<std::byte> code = compile_ir(chip, kQueueKernels);
    hsa_code_object_reader_t reader{};
    ASSERT_OK(HSA(hsa_code_object_reader_create_from_memory)(code.data(), code.size(), &reader));
    ASSERT_OK(HSA(hsa_executable_create_alt)(HSA_PROFILE_BASE, HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT, nullptr,
                                             &executable));
    ASSERT_OK(HSA(hsa_executable_load_agent_code_object)(executable, gpu, reader, nullptr, nullptr));
    ASSERT_OK(HSA(hsa_code_object_reader_destroy)(reader));
  }
  void unload() {
    if (executable.handle != 0) {
      EXPECT_OK(HSA(hsa_executable_destroy)(executable));
    }
    executable = {};
  }
  void freeze() { ASSERT_OK(HSA(hsa_executable_freeze)(executable, nullptr)); }

  hsa_queue_t* queue(Errors* errors = nullptr, std::uint32_t size = 64) {
    hsa_queue_t* q = nullptr;
    EXPECT_OK(HSA(hsa_queue_create)(gpu, size, HSA_QUEUE_TYPE_MULTI, errors ? Errors::add : nullptr, errors, 0, 0, &q));
    return q;
  }
  std::uint64_t kernel(const char* name) {
    hsa_executable_symbol_t s{};
    std::uint64_t object = 0;
    EXPECT_OK(HSA(hsa_executable_get_symbol_by_name)(executable, name, &gpu, &s));
    EXPECT_OK(HSA(hsa_executable_symbol_get_info)(s, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT, &object));
    return object;
  }

  static std::uint16_t header(hsa_packet_type_t type) {
    return static_cast<std::uint16_t>(type << HSA_PACKET_HEADER_TYPE | 1 << HSA_PACKET_HEADER_BARRIER |
                                      HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE |
                                      HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE);
  }
  // Writes a packet as a producer does: its header last. Packets wait for room.
  template <typename Packet>
  static void submit(hsa_queue_t* q, Packet packet) {
    static_assert(sizeof(Packet) == 64);
    const std::uint64_t position = HSA(hsa_queue_add_write_index_scacq_screl)(q, 1);
    while (position - HSA(hsa_queue_load_read_index_scacquire)(q) >= q->size) std::this_thread::yield();
    auto* slot = static_cast<char*>(q->base_address) + position % q->size * 64;
    std::uint32_t first;
    std::memcpy(&first, &packet, 4);
    std::memcpy(slot + 4, reinterpret_cast<char*>(&packet) + 4, 60);
    std::atomic_ref(*reinterpret_cast<std::uint32_t*>(slot)).store(first, std::memory_order_release);
    HSA(hsa_signal_store_screlease)(q->doorbell_signal, static_cast<hsa_signal_value_t>(position));
  }
  static hsa_barrier_and_packet_t barrier(hsa_packet_type_t type, std::vector<hsa_signal_t> deps, hsa_signal_t done) {
    hsa_barrier_and_packet_t p{};
    p.header = header(type);
    std::copy(deps.begin(), deps.end(), p.dep_signal);
    p.completion_signal = done;
    return p;
  }
  hsa_kernel_dispatch_packet_t dispatch(const char* name, const void* arguments, hsa_signal_t done,
                                        std::uint32_t grid = 64) {
    hsa_kernel_dispatch_packet_t p{};
    p.header = header(HSA_PACKET_TYPE_KERNEL_DISPATCH);
    p.setup = 1;
    p.workgroup_size_x = 64;
    p.workgroup_size_y = p.workgroup_size_z = 1;
    p.grid_size_x = grid;
    p.grid_size_y = p.grid_size_z = 1;
    p.kernel_object = kernel(name);
    p.kernarg_address = const_cast<void*>(arguments);
    p.completion_signal = done;
    return p;
  }
  struct StepArguments {
    void* p;
    std::int32_t a, b;
  };

  hsa_executable_t executable{};
};

}  // namespace wavetile::emu
