// Status strings, system information, extensions, events.
#include <hsa/hsa_ven_amd_loader.h>

#include <algorithm>
#include <cstring>

#include "emulator/hsa/runtime.h"

using namespace wavetile::emu;
using namespace wavetile::emu::hsa;

namespace {

struct StatusText {
  unsigned status;
  const char* text;
};
#define WAVETILE_STATUS(name, words) \
  StatusText { name, #name ": " words }
constexpr StatusText kStatusTexts[] = {
    WAVETILE_STATUS(HSA_STATUS_SUCCESS, "success"),
    WAVETILE_STATUS(HSA_STATUS_INFO_BREAK, "a callback ended an iteration"),
    WAVETILE_STATUS(HSA_STATUS_ERROR, "an error that no other code names"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_ARGUMENT, "an argument is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_QUEUE_CREATION, "the agent has no queues of that kind"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_ALLOCATION, "the allocation is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_AGENT, "the agent is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_REGION, "the memory region is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_SIGNAL, "the signal is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_QUEUE, "the queue is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_OUT_OF_RESOURCES, "a resource could not be had"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_PACKET_FORMAT, "the packet is malformed"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_RESOURCE_FREE, "a resource could not be released"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_NOT_INITIALIZED, "hsa_init was not called"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_REFCOUNT_OVERFLOW, "a reference count is at its limit"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INCOMPATIBLE_ARGUMENTS, "the arguments do not fit each other"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_INDEX, "the index is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_ISA, "the instruction set is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_ISA_NAME, "no instruction set has that name"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_CODE_OBJECT, "the code object is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_EXECUTABLE, "the executable is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_FROZEN_EXECUTABLE, "the executable is frozen"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_SYMBOL_NAME, "no symbol has that name"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_VARIABLE_ALREADY_DEFINED, "the variable is already defined"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_VARIABLE_UNDEFINED, "a variable is undefined"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_EXCEPTION, "a kernel raised an exception"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_CODE_SYMBOL, "the code object symbol is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_EXECUTABLE_SYMBOL, "the executable symbol is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_FILE, "the file descriptor is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_CODE_OBJECT_READER, "the code object reader is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_CACHE, "the cache is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_WAVEFRONT, "the wavefront is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_SIGNAL_GROUP, "the signal group is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_RUNTIME_STATE, "the runtime is not in the right state"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_FATAL, "the queue cannot go on"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_INVALID_MEMORY_POOL, "the memory pool is not valid"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION, "a kernel left its group or private memory"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_ILLEGAL_INSTRUCTION, "a kernel reached what is no instruction"),
    WAVETILE_STATUS(HSA_STATUS_ERROR_MEMORY_FAULT, "a kernel accessed memory that it may not"),
    WAVETILE_STATUS(HSA_STATUS_CU_MASK_REDUCED, "the mask names compute units that are disabled"),
};

struct Extension {
  std::uint16_t number;
  const char* name;
  std::uint16_t minor;  // of major version 1 that is there; kAbsent: none
};
constexpr std::uint16_t kAbsent = 0xffff;
constexpr Extension kExtensions[] = {
    {HSA_EXTENSION_FINALIZER, "HSA_EXTENSION_FINALIZER", kAbsent},
    {HSA_EXTENSION_IMAGES, "HSA_EXTENSION_IMAGES", kAbsent},
    {HSA_EXTENSION_PERFORMANCE_COUNTERS, "HSA_EXTENSION_PERFORMANCE_COUNTERS", kAbsent},
    {HSA_EXTENSION_PROFILING_EVENTS, "HSA_EXTENSION_PROFILING_EVENTS", kAbsent},
    {HSA_EXTENSION_AMD_PROFILER, "HSA_EXTENSION_AMD_PROFILER", kAbsent},
    {HSA_EXTENSION_AMD_LOADER, "HSA_EXTENSION_AMD_LOADER", 3},
    {HSA_EXTENSION_AMD_AQLPROFILE, "HSA_EXTENSION_AMD_AQLPROFILE", kAbsent},
};

const Extension& extension_of(std::uint16_t number) {
  const auto* it = std::ranges::find(kExtensions, number, &Extension::number);
  require(it != std::end(kExtensions));
  return *it;
}

// The tables of 1.00 to 1.03 are prefixes of each other.
void put_table(const Extension& extension, std::size_t bytes, void* table) {
  require(extension.minor != kAbsent, HSA_STATUS_ERROR);
  const hsa_ven_amd_loader_1_03_pfn_t functions{
      hsa_ven_amd_loader_query_host_address,
      hsa_ven_amd_loader_query_segment_descriptors,
      hsa_ven_amd_loader_query_executable,
      hsa_ven_amd_loader_executable_iterate_loaded_code_objects,
      hsa_ven_amd_loader_loaded_code_object_get_info,
      hsa_ven_amd_loader_code_object_reader_create_from_file_with_offset_size,
      hsa_ven_amd_loader_iterate_executables,
  };
  std::memcpy(table, &functions, std::min(bytes, sizeof functions));
}

void check_version(const Extension& extension, std::uint16_t major, std::uint16_t minor, bool& supported) {
  supported = extension.minor != kAbsent && major == 1 && minor <= extension.minor;
}

}  // namespace

extern "C" {

hsa_status_t hsa_status_string(hsa_status_t status, const char** status_string) {
  if (!status_string) return HSA_STATUS_ERROR_INVALID_ARGUMENT;
  const auto* it = std::ranges::find(kStatusTexts, static_cast<unsigned>(status), &StatusText::status);
  if (it == std::end(kStatusTexts)) return HSA_STATUS_ERROR_INVALID_ARGUMENT;
  *status_string = it->text;
  return HSA_STATUS_SUCCESS;
}

hsa_status_t hsa_system_get_info(hsa_system_info_t attribute, void* value) {
  return call([&](Runtime&) {
    require(value != nullptr);
    switch (attribute) {
      case HSA_SYSTEM_INFO_VERSION_MAJOR:
      case HSA_SYSTEM_INFO_VERSION_MINOR:
        return put<std::uint16_t>(value, 1);
      case HSA_SYSTEM_INFO_TIMESTAMP:
        return put(value, timestamp());
      case HSA_SYSTEM_INFO_TIMESTAMP_FREQUENCY:
        return put(value, kTimestampFrequency);
      case HSA_SYSTEM_INFO_SIGNAL_MAX_WAIT:
        return put(value, UINT64_MAX);
      case HSA_SYSTEM_INFO_ENDIANNESS:
        return put(value, HSA_ENDIANNESS_LITTLE);
      case HSA_SYSTEM_INFO_MACHINE_MODEL:
        return put(value, HSA_MACHINE_MODEL_LARGE);
      case HSA_SYSTEM_INFO_EXTENSIONS: {
        std::memset(value, 0, 128);
        for (const Extension& e : kExtensions) {
          if (e.minor != kAbsent) static_cast<std::uint8_t*>(value)[e.number / 8] |= 1 << (e.number % 8);
        }
        return;
      }
      case HSA_AMD_SYSTEM_INFO_BUILD_VERSION:
        return put<const char*>(value, "wavetile emulator");
      case HSA_AMD_SYSTEM_INFO_SVM_SUPPORTED:
      case HSA_AMD_SYSTEM_INFO_SVM_ACCESSIBLE_BY_DEFAULT:
        return put(value, false);
    }
    throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
  });
}

hsa_status_t hsa_extension_get_name(uint16_t extension, const char** name) {
  return call([&](Runtime&) {
    require(name != nullptr);
    *name = extension_of(extension).name;
  });
}

hsa_status_t hsa_system_extension_supported(uint16_t extension, uint16_t version_major, uint16_t version_minor,
                                            bool* result) {
  return call([&](Runtime&) {
    require(result != nullptr);
    check_version(extension_of(extension), version_major, version_minor, *result);
  });
}

hsa_status_t hsa_system_major_extension_supported(uint16_t extension, uint16_t version_major, uint16_t* version_minor,
                                                  bool* result) {
  return call([&](Runtime&) {
    require(version_minor && result);
    const Extension& e = extension_of(extension);
    check_version(e, version_major, 0, *result);
    *version_minor = *result ? e.minor : 0;
  });
}

hsa_status_t hsa_agent_extension_supported(uint16_t extension, hsa_agent_t agent, uint16_t version_major,
                                           uint16_t version_minor, bool* result) {
  return call([&](Runtime&) {
    is_gpu(agent);
    require(result != nullptr);
    check_version(extension_of(extension), version_major, version_minor, *result);
  });
}

hsa_status_t hsa_agent_major_extension_supported(uint16_t extension, hsa_agent_t agent, uint16_t version_major,
                                                 uint16_t* version_minor, bool* result) {
  return call([&](Runtime&) {
    is_gpu(agent);
    require(version_minor && result);
    const Extension& e = extension_of(extension);
    check_version(e, version_major, 0, *result);
    *version_minor = *result ? e.minor : 0;
  });
}

hsa_status_t hsa_system_get_extension_table(uint16_t extension, uint16_t version_major, uint16_t version_minor,
                                            void* table) {
  return call([&](Runtime&) {
    require(table != nullptr);
    const Extension& e = extension_of(extension);
    bool supported = false;
    check_version(e, version_major, version_minor, supported);
    require(supported, HSA_STATUS_ERROR);
    constexpr std::size_t kBytes[] = {sizeof(hsa_ven_amd_loader_1_00_pfn_t), sizeof(hsa_ven_amd_loader_1_01_pfn_t),
                                      sizeof(hsa_ven_amd_loader_1_02_pfn_t), sizeof(hsa_ven_amd_loader_1_03_pfn_t)};
    put_table(e, kBytes[version_minor], table);
  });
}

hsa_status_t hsa_system_get_major_extension_table(uint16_t extension, uint16_t version_major, size_t table_length,
                                                  void* table) {
  return call([&](Runtime&) {
    require(table && table_length != 0);
    const Extension& e = extension_of(extension);
    bool supported = false;
    check_version(e, version_major, 0, supported);
    require(supported, HSA_STATUS_ERROR);
    put_table(e, table_length, table);
  });
}

hsa_status_t hsa_amd_register_system_event_handler(hsa_amd_system_event_callback_t callback, void* data) {
  return call([&](Runtime& r) {
    require(callback != nullptr);
    return r.set_event_handler(callback, data);
  });
}

}  // extern "C"
