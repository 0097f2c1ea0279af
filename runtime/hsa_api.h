// The functions of libhsa-runtime64.so.1 that the runtime calls, found when a device is opened: one binary runs with
// and without ROCm. The library stays loaded until the process ends.
#pragma once

#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>

#include <memory>
#include <string>

namespace wavetile::hsa {

#define WAVETILE_HSA_FUNCTIONS(F)              \
  F(hsa_init)                                  \
  F(hsa_shut_down)                             \
  F(hsa_status_string)                         \
  F(hsa_system_get_info)                       \
  F(hsa_iterate_agents)                        \
  F(hsa_agent_get_info)                        \
  F(hsa_agent_iterate_isas)                    \
  F(hsa_isa_get_info_alt)                      \
  F(hsa_signal_create)                         \
  F(hsa_signal_destroy)                        \
  F(hsa_signal_store_relaxed)                  \
  F(hsa_signal_store_screlease)                \
  F(hsa_signal_wait_scacquire)                 \
  F(hsa_queue_create)                          \
  F(hsa_queue_destroy)                         \
  F(hsa_queue_inactivate)                      \
  F(hsa_queue_load_read_index_scacquire)       \
  F(hsa_queue_load_write_index_relaxed)        \
  F(hsa_queue_store_write_index_screlease)     \
  F(hsa_memory_copy)                           \
  F(hsa_code_object_reader_create_from_memory) \
  F(hsa_code_object_reader_destroy)            \
  F(hsa_executable_create_alt)                 \
  F(hsa_executable_load_agent_code_object)     \
  F(hsa_executable_freeze)                     \
  F(hsa_executable_destroy)                    \
  F(hsa_executable_get_symbol_by_name)         \
  F(hsa_executable_symbol_get_info)            \
  F(hsa_amd_agent_iterate_memory_pools)        \
  F(hsa_amd_memory_pool_get_info)              \
  F(hsa_amd_agent_memory_pool_get_info)        \
  F(hsa_amd_memory_pool_allocate)              \
  F(hsa_amd_memory_pool_free)                  \
  F(hsa_amd_agents_allow_access)               \
  F(hsa_amd_memory_fill)                       \
  F(hsa_amd_profiling_set_profiler_enabled)    \
  F(hsa_amd_profiling_get_dispatch_time)       \
  F(hsa_amd_register_system_event_handler)

struct Api {
#define WAVETILE_HSA_FUNCTION(name) decltype(&::name) name = nullptr;
  WAVETILE_HSA_FUNCTIONS(WAVETILE_HSA_FUNCTION)
#undef WAVETILE_HSA_FUNCTION
  std::string path;       // of the library
  bool emulated = false;  // it is the emulator's

  /// AMD's library, or the emulator's.
  /// @throws Error where there is none, or where it is too old, saying what to do.
  static std::shared_ptr<const Api> load(bool emulator);

  /// "HSA_STATUS_ERROR: A generic error has occurred."
  std::string text_of(hsa_status_t status) const;
  /// @throws Error with `what` failed, unless it is HSA_STATUS_SUCCESS.
  void check(hsa_status_t status, const std::string& what) const;
};

}  // namespace wavetile::hsa
