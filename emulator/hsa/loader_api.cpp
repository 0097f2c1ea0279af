// The extension hsa_ven_amd_loader: which code objects are loaded, and where.
#include <cstring>

#include "emulator/hsa/runtime.h"

using namespace wavetile::emu;
using namespace wavetile::emu::hsa;

namespace {

hsa_ven_amd_loader_code_object_storage_type_t storage_of(const Loaded& l) {
  return l.file >= 0 ? HSA_VEN_AMD_LOADER_CODE_OBJECT_STORAGE_TYPE_FILE
                     : HSA_VEN_AMD_LOADER_CODE_OBJECT_STORAGE_TYPE_MEMORY;
}

// Of all executables, or of one.
std::vector<std::uint64_t> loaded_of(Runtime& r, std::uint64_t executable) {
  return r.executables.with(executable, [](const Executable& e) {
    std::vector<std::uint64_t> handles;
    for (const auto& l : e.loaded) handles.push_back(l->handle);
    return handles;
  });
}

void loaded_info(const Loaded& l, hsa_ven_amd_loader_loaded_code_object_info_t attribute, void* value) {
  const bool in_file = l.file >= 0;
  switch (attribute) {
    case HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_EXECUTABLE:
      return put(value, hsa_executable_t{l.executable});
    case HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_KIND:
      return put<std::uint32_t>(value, HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_KIND_AGENT);
    case HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_AGENT:
      return put(value, kGpuAgent);
    case HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_CODE_OBJECT_STORAGE_TYPE:
      return put<std::uint32_t>(value, storage_of(l));
    case HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_CODE_OBJECT_STORAGE_MEMORY_BASE:
      require(!in_file);
      return put(value, reinterpret_cast<std::uint64_t>(l.storage));
    case HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_CODE_OBJECT_STORAGE_MEMORY_SIZE:
      require(!in_file);
      return put<std::uint64_t>(value, l.storage_bytes);
    case HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_CODE_OBJECT_STORAGE_FILE:
      require(in_file);
      return put<int>(value, l.file);
    case HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_LOAD_DELTA:
      return put(value, static_cast<std::int64_t>(l.object->base()));
    case HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_LOAD_BASE:
      return put<std::uint64_t>(value, l.object->base());
    case HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_LOAD_SIZE:
      return put<std::uint64_t>(value, l.object->bytes());
    case HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_URI_LENGTH:
      return put(value, static_cast<std::uint32_t>(l.uri.size()));
    case HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_URI:
      return static_cast<void>(std::memcpy(value, l.uri.data(), l.uri.size()));
  }
  throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
}

}  // namespace

extern "C" {

// Device addresses are host addresses.
hsa_status_t hsa_ven_amd_loader_query_host_address(const void* device_address, const void** host_address) {
  return call([&](Runtime& r) {
    require(device_address && host_address);
    require(r.executables.loaded_at(reinterpret_cast<std::uint64_t>(device_address)) != 0);
    *host_address = device_address;
  });
}

hsa_status_t hsa_ven_amd_loader_query_segment_descriptors(hsa_ven_amd_loader_segment_descriptor_t* descriptors,
                                                          size_t* count) {
  return call([&](Runtime& r) {
    require(count && (descriptors != nullptr) == (*count != 0));
    std::vector<hsa_ven_amd_loader_segment_descriptor_t> found;
    for (const std::uint64_t executable : r.executables.handles()) {
      r.executables.with(executable, [&](const Executable& e) {
        for (const auto& l : e.loaded) {
          found.push_back({kGpuAgent, hsa_executable_t{executable}, storage_of(*l), l->storage, l->storage_bytes, 0,
                           reinterpret_cast<const void*>(l->object->base()), l->object->bytes()});
        }
      });
    }
    if (!descriptors) {
      *count = found.size();
      return;
    }
    require(*count == found.size(), HSA_STATUS_ERROR_INCOMPATIBLE_ARGUMENTS);
    std::memcpy(descriptors, found.data(), found.size() * sizeof found[0]);
  });
}

hsa_status_t hsa_ven_amd_loader_query_executable(const void* device_address, hsa_executable_t* executable) {
  return call([&](Runtime& r) {
    require(device_address && executable);
    const std::uint64_t loaded = r.executables.loaded_at(reinterpret_cast<std::uint64_t>(device_address));
    require(loaded != 0);
    r.executables.with_loaded(loaded, [&](const Loaded& l) { executable->handle = l.executable; });
  });
}

hsa_status_t hsa_ven_amd_loader_executable_iterate_loaded_code_objects(
    hsa_executable_t executable, hsa_status_t (*callback)(hsa_executable_t, hsa_loaded_code_object_t, void*),
    void* data) {
  return call([&](Runtime& r) {
    const auto handles = loaded_of(r, executable.handle);
    require(callback != nullptr);
    for (const std::uint64_t h : handles) {
      const hsa_status_t status = callback(executable, hsa_loaded_code_object_t{h}, data);
      if (status != HSA_STATUS_SUCCESS) return status;
    }
    return HSA_STATUS_SUCCESS;
  });
}

hsa_status_t hsa_ven_amd_loader_loaded_code_object_get_info(hsa_loaded_code_object_t loaded_code_object,
                                                            hsa_ven_amd_loader_loaded_code_object_info_t attribute,
                                                            void* value) {
  return call([&](Runtime& r) {
    r.executables.with_loaded(loaded_code_object.handle, [&](const Loaded& l) {
      require(value != nullptr);
      loaded_info(l, attribute, value);
    });
  });
}

hsa_status_t hsa_ven_amd_loader_iterate_executables(hsa_status_t (*callback)(hsa_executable_t, void*), void* data) {
  return call([&](Runtime& r) {
    require(callback != nullptr);
    for (const std::uint64_t h : r.executables.handles()) {
      const hsa_status_t status = callback(hsa_executable_t{h}, data);
      if (status != HSA_STATUS_SUCCESS) return status;
    }
    return HSA_STATUS_SUCCESS;
  });
}

}  // extern "C"
