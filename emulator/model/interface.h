// The interface between AMD's HSA runtime and a software model of its GPUs, version 0.4, as the runtime expects it of
// the library that $HSA_MODEL_LIB names: one exported C function, get_hsakmt_model_functions, that gives a table.
//
// Addresses are those of the GPU. They are the host's too, except for device memory that the host may not touch.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wavetile::emu::model {

class Device;
class Queue;

enum QueueType : std::uint32_t { kSdmaQueue = 1, kAqlQueue = 2 };

/// Lives only as long as the call that hands it over.
struct QueueInfo {
  std::uint64_t ring;           // the address of the first packet
  std::uint64_t write_pointer;  // the address of a 64-bit count: of packets (AQL) or bytes (SDMA), never wrapping
  std::uint64_t read_pointer;   // likewise
  std::uint64_t* doorbell;      // nullptr
  std::uint32_t ring_bytes;
  std::uint32_t type;  // QueueType
};
static_assert(sizeof(QueueInfo) == 40 && offsetof(QueueInfo, type) == 36);

// Bits of what is said of an allocation.
enum AllocationFlags : std::uint32_t {
  kDeviceMemory = 1u << 0,
  kHostMemory = 1u << 1,
  kDoorbells = 1u << 3,
  kHostVisible = 1u << 29,  // of device memory
  kExecutable = 1u << 30,
  kWritable = 1u << 31,  // by kernels
};

/// Wakes whoever sleeps on the event with this number. May be called on any thread.
using SetEvent = void (*)(void* data, unsigned event);

/// Memory and queue functions are called on the program's threads, one at a time.
struct Functions {
  std::uint32_t major, minor;
  Device* (*create)();  // one for each GPU of the topology, in its order; nullptr: the process ends
  void (*destroy)(Device*);
  void (*set_aperture)(Device*, void* base, std::uint64_t bytes);
  void (*allocated)(Device*, void* address, std::uint64_t bytes, std::uint32_t flags);  // before it is mapped
  void (*freed)(Device*, void* address, std::uint64_t bytes);
  void (*set_notify)(Device*, void (*)(void* data), void* data);
  void (*set_wait)(Device*, void (*)(void* data, std::uint64_t address, std::uint64_t age), void* data);
  Queue* (*register_queue)(Device*, QueueInfo*);
  void (*set_set_event)(Device*, SetEvent, void* data);
  void (*destroy_queue)(Device*, Queue*);
};
static_assert(sizeof(Functions) == 8 + 10 * sizeof(void*));

}  // namespace wavetile::emu::model
