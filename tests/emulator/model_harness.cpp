#include "tests/emulator/model_harness.h"

#include <dlfcn.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace wavetile::emu::model {
namespace {

constexpr std::uint32_t kRingPackets = 64, kRingBytes = 4096;
constexpr std::size_t kApertureBytes = std::size_t{1} << 30;
constexpr unsigned kEvent = 7;

}  // namespace

const Functions& library() {
  static const Functions* functions = [] {
    void* handle = dlopen(WAVETILE_MODEL_DIR "/libwavetile-rocm-model.so", RTLD_NOW | RTLD_LOCAL);
    if (!handle) throw std::runtime_error(dlerror());
    auto* get = reinterpret_cast<const Functions* (*)()>(dlsym(handle, "get_hsakmt_model_functions"));
    if (!get) throw std::runtime_error(dlerror());
    return get();
  }();
  return *functions;
}

std::string topology_folder(std::string_view chip) { return WAVETILE_MODEL_DIR "/topology/" + std::string(chip); }

Harness::Harness(std::string_view chip, const std::string& options) : chip_(*find_chip(chip)) {
  setenv("HSA_MODEL_TOPOLOGY", topology_folder(chip).c_str(), 1);
  setenv("WAVETILE_EMULATOR", options.c_str(), 1);
  device_ = library().create();
  if (!device_) return;
  aperture_ = mmap(nullptr, kApertureBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  library().set_aperture(device_, aperture_, kApertureBytes);
  library().set_set_event(device_, set_event, this);
}

Harness::~Harness() {
  if (device_) library().destroy(device_);
  for (const Pages& p : pages_) munmap(p.address, p.bytes);
  if (aperture_) munmap(aperture_, kApertureBytes);
}

void Harness::set_event(void* data, unsigned event) {
  if (event == kEvent) ++static_cast<Harness*>(data)->events_;
}

void* Harness::allocate(std::size_t bytes, std::uint32_t flags) {
  bytes = (bytes + 4095) & ~std::size_t{4095};
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  pages_.push_back({p, bytes});
  library().allocated(device_, p, bytes, flags);
  return p;
}

void Harness::free(void* address) {
  for (const Pages& p : pages_) {
    if (p.address != address) continue;
    library().freed(device_, p.address, p.bytes);
    mprotect(p.address, p.bytes, PROT_NONE);  // the runtime keeps the addresses to itself, too
  }
}

amd_signal_t* Harness::signal(std::int64_t value) {
  auto* s = static_cast<amd_signal_t*>(allocate(sizeof(amd_signal_t)));
  s->kind = AMD_SIGNAL_KIND_USER;
  s->event_id = kEvent;
  value_of(*s) = value;
  return s;
}

std::uint64_t Harness::load(const std::vector<std::byte>& file, std::string_view kernel) {
  objects_.push_back(std::make_unique<CodeObject>(file, chip_, places_, "test.hsaco"));
  const CodeObject& o = *objects_.back();
  auto* copy = static_cast<std::byte*>(allocate(o.bytes(), kDeviceFlags | kExecutable));
  std::memcpy(copy, reinterpret_cast<const void*>(o.base()), o.bytes());
  return reinterpret_cast<std::uint64_t>(copy) + o.find_kernel(kernel)->descriptor - o.base();
}

AqlQueue::AqlQueue(Harness& harness)
    : harness_(harness),
      ring_(static_cast<hsa::Packet*>(harness.allocate(kRingPackets * sizeof(hsa::Packet)))),
      amd_(static_cast<amd_queue_t*>(harness.allocate(sizeof(amd_queue_t)))),
      inactive_(harness.signal(0)) {
  for (std::uint32_t i = 0; i < kRingPackets; ++i) ring_[i].header = HSA_PACKET_TYPE_INVALID;
  amd_->queue_inactive_signal = handle_of(inactive_);
  QueueInfo info{.ring = reinterpret_cast<std::uint64_t>(ring_),
                 .write_pointer = reinterpret_cast<std::uint64_t>(&amd_->write_dispatch_id),
                 .read_pointer = reinterpret_cast<std::uint64_t>(&amd_->read_dispatch_id),
                 .doorbell = nullptr,
                 .ring_bytes = kRingPackets * sizeof(hsa::Packet),
                 .type = kAqlQueue};
  queue_ = library().register_queue(harness.device(), &info);
}

AqlQueue::~AqlQueue() { destroy(); }

void AqlQueue::destroy() {
  if (queue_) library().destroy_queue(harness_.device(), queue_);
  queue_ = nullptr;
}

void AqlQueue::submit(const hsa::Packet& packet) {
  std::atomic_ref write(const_cast<std::uint64_t&>(amd_->write_dispatch_id));
  hsa::Packet& place = ring_[write.fetch_add(1) % kRingPackets];
  std::memcpy(reinterpret_cast<char*>(&place) + 2, reinterpret_cast<const char*>(&packet) + 2, sizeof packet - 2);
  std::atomic_ref(place.header).store(packet.header, std::memory_order_release);
}

SdmaQueue::SdmaQueue(Harness& harness)
    : harness_(harness),
      ring_(static_cast<std::uint32_t*>(harness.allocate(kRingBytes))),
      pointers_(static_cast<std::uint64_t*>(harness.allocate(16))) {
  QueueInfo info{.ring = reinterpret_cast<std::uint64_t>(ring_),
                 .write_pointer = reinterpret_cast<std::uint64_t>(&pointers_[0]),
                 .read_pointer = reinterpret_cast<std::uint64_t>(&pointers_[1]),
                 .doorbell = nullptr,
                 .ring_bytes = kRingBytes,
                 .type = kSdmaQueue};
  queue_ = library().register_queue(harness.device(), &info);
}

SdmaQueue::~SdmaQueue() { library().destroy_queue(harness_.device(), queue_); }

void SdmaQueue::submit(std::initializer_list<std::uint32_t> dwords) {
  std::uint64_t at = written_bytes();
  for (const std::uint32_t d : dwords) {
    ring_[at / 4 % (kRingBytes / 4)] = d;
    at += 4;
  }
  std::atomic_ref(pointers_[0]).store(at, std::memory_order_release);
}

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

hsa::Packet dispatch(std::uint64_t kernel, const void* arguments, std::uint32_t items, const amd_signal_t* done) {
  hsa::Packet p{};
  p.dispatch.header = HSA_PACKET_TYPE_KERNEL_DISPATCH |
                      HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE |
                      HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE;
  p.dispatch.setup = 1;
  p.dispatch.workgroup_size_x = 64;
  p.dispatch.workgroup_size_y = p.dispatch.workgroup_size_z = 1;
  p.dispatch.grid_size_x = items;
  p.dispatch.grid_size_y = p.dispatch.grid_size_z = 1;
  p.dispatch.kernel_object = kernel;
  p.dispatch.kernarg_address = const_cast<void*>(arguments);
  if (done) p.dispatch.completion_signal = handle_of(done);
  return p;
}

}  // namespace wavetile::emu::model
