// Code object readers, executables and their symbols.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "emulator/hsa/runtime.h"

using namespace wavetile::emu;
using namespace wavetile::emu::hsa;

namespace {

// All of a file, or `bytes` of it from `offset`.
Reader read_file(int file, std::uint64_t offset, std::optional<std::uint64_t> bytes) {
  struct stat info {};
  require(fstat(file, &info) == 0, HSA_STATUS_ERROR_INVALID_FILE);
  const auto whole = static_cast<std::uint64_t>(info.st_size);
  require(offset < whole && (!bytes || (*bytes != 0 && *bytes <= whole - offset)),
          HSA_STATUS_ERROR_INVALID_CODE_OBJECT);
  Reader reader;
  reader.owned.resize(bytes.value_or(whole - offset));
  std::size_t done = 0;
  while (done < reader.owned.size()) {
    const ssize_t n =
        pread(file, reader.owned.data() + done, reader.owned.size() - done, static_cast<off_t>(offset + done));
    require(n > 0, HSA_STATUS_ERROR_INVALID_FILE);
    done += static_cast<std::size_t>(n);
  }
  reader.bytes = reader.owned;  // a moved vector keeps its storage
  reader.file = file;
  reader.file_offset = offset;
  char path[4096];
  const ssize_t n = readlink(fmt::format("/proc/self/fd/{}", file).c_str(), path, sizeof path);
  reader.name = n > 0 ? std::string(path, static_cast<std::size_t>(n)) : fmt::format("file descriptor {}", file);
  return reader;
}

void check_profile(hsa_profile_t profile) { require(profile == HSA_PROFILE_BASE || profile == HSA_PROFILE_FULL); }

hsa_executable_symbol_t find_symbol(Runtime& r, hsa_executable_t executable, const char* name, bool program) {
  return r.executables.with(executable.handle, [&](const Executable& e) {
    for (const auto& s : e.symbols) {
      if (s->name == name && s->program == program) return hsa_executable_symbol_t{s->handle};
    }
    throw Refused{HSA_STATUS_ERROR_INVALID_SYMBOL_NAME};
  });
}

// Handles of an executable's symbols: callbacks may call anything, and so run without a lock.
std::vector<std::uint64_t> symbols_of(Runtime& r, hsa_executable_t executable, bool agent, bool program) {
  return r.executables.with(executable.handle, [&](const Executable& e) {
    std::vector<std::uint64_t> handles;
    for (const auto& s : e.symbols) {
      if (s->program ? program : agent) handles.push_back(s->handle);
    }
    return handles;
  });
}

void kernel_info(const ExecutableSymbol& s, hsa_executable_symbol_info_t attribute, void* value) {
  require(s.kernel != nullptr);
  const KernelInfo& k = *s.kernel;
  switch (attribute) {
    case HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT:
      return put<std::uint64_t>(value, k.descriptor);
    case HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_KERNARG_SEGMENT_SIZE:
      return put<std::uint32_t>(value, k.kernarg_bytes);
    case HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_KERNARG_SEGMENT_ALIGNMENT:
      return put<std::uint32_t>(value, std::max<std::uint32_t>(16, k.kernarg_align));
    case HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_GROUP_SEGMENT_SIZE:
      return put<std::uint32_t>(value, k.group_bytes);
    case HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_PRIVATE_SEGMENT_SIZE:
      return put<std::uint32_t>(value, k.private_bytes);
    case HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_DYNAMIC_CALLSTACK: {
      constexpr std::uint16_t kDynamicStack = 1 << 11;  // of kernel_code_properties
      const auto d = read_descriptor(reinterpret_cast<const void*>(k.descriptor));
      return put<bool>(value, (d.properties & kDynamicStack) != 0);
    }
    case HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_CALL_CONVENTION:
      return put<std::uint32_t>(value, 0);
    default:
      throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
  }
}

void variable_info(const ExecutableSymbol& s, hsa_executable_symbol_info_t attribute, void* value) {
  require(s.kernel == nullptr);
  switch (attribute) {
    case HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_ADDRESS:
      return put<std::uint64_t>(value, s.address);
    case HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_ALLOCATION:
      return put(value, s.program ? HSA_VARIABLE_ALLOCATION_PROGRAM : HSA_VARIABLE_ALLOCATION_AGENT);
    case HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_SEGMENT:
      return put(value, s.constant ? HSA_VARIABLE_SEGMENT_READONLY : HSA_VARIABLE_SEGMENT_GLOBAL);
    case HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_ALIGNMENT:
      return put<std::uint32_t>(value, s.address ? 1u << std::min(12, std::countr_zero(s.address)) : 0);
    case HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_SIZE:
      return put(value, static_cast<std::uint32_t>(s.bytes));
    case HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_IS_CONST:
      return put<bool>(value, s.constant);
    default:
      throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
  }
}

void symbol_info(const ExecutableSymbol& s, hsa_executable_symbol_info_t attribute, void* value) {
  switch (attribute) {
    case HSA_EXECUTABLE_SYMBOL_INFO_TYPE:
      return put(value, s.kernel ? HSA_SYMBOL_KIND_KERNEL : HSA_SYMBOL_KIND_VARIABLE);
    case HSA_EXECUTABLE_SYMBOL_INFO_NAME_LENGTH:
      return put(value, static_cast<std::uint32_t>(s.name.size()));
    case HSA_EXECUTABLE_SYMBOL_INFO_NAME:
      return static_cast<void>(std::memcpy(value, s.name.data(), s.name.size()));
    case HSA_EXECUTABLE_SYMBOL_INFO_MODULE_NAME_LENGTH:
      return put<std::uint32_t>(value, 0);
    case HSA_EXECUTABLE_SYMBOL_INFO_MODULE_NAME:
      return;
    case HSA_EXECUTABLE_SYMBOL_INFO_AGENT:
      return put(value, s.program ? hsa_agent_t{0} : kGpuAgent);
    case HSA_EXECUTABLE_SYMBOL_INFO_LINKAGE:
      return put(value, s.global ? HSA_SYMBOL_LINKAGE_PROGRAM : HSA_SYMBOL_LINKAGE_MODULE);
    case HSA_EXECUTABLE_SYMBOL_INFO_IS_DEFINITION:
      return put(value, true);
    case HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_ADDRESS:
    case HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_ALLOCATION:
    case HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_SEGMENT:
    case HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_ALIGNMENT:
    case HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_SIZE:
    case HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_IS_CONST:
      return variable_info(s, attribute, value);
    default:
      return kernel_info(s, attribute, value);
  }
}

hsa_status_t define(hsa_executable_t executable, const char* name, void* address, bool constant, bool program) {
  return call([&](Runtime& r) {
    require(name != nullptr);
    r.executables.define(executable.handle, name, address, constant, program);
  });
}

}  // namespace

extern "C" {

hsa_status_t hsa_code_object_reader_create_from_file(hsa_file_t file, hsa_code_object_reader_t* reader) {
  return call([&](Runtime& r) {
    require(reader != nullptr);
    reader->handle = r.executables.create_reader(read_file(file, 0, std::nullopt));
  });
}

hsa_status_t hsa_ven_amd_loader_code_object_reader_create_from_file_with_offset_size(hsa_file_t file, size_t offset,
                                                                                     size_t size,
                                                                                     hsa_code_object_reader_t* reader) {
  return call([&](Runtime& r) {
    require(reader != nullptr);
    reader->handle = r.executables.create_reader(read_file(file, offset, size));
  });
}

hsa_status_t hsa_code_object_reader_create_from_memory(const void* code_object, size_t size,
                                                       hsa_code_object_reader_t* reader) {
  return call([&](Runtime& r) {
    require(code_object && size != 0 && reader);
    Reader fresh;
    fresh.bytes = {static_cast<const std::byte*>(code_object), size};
    fresh.name = fmt::format("memory://{}#offset={}&size={}", getpid(), fmt::ptr(code_object), size);
    reader->handle = r.executables.create_reader(std::move(fresh));
  });
}

hsa_status_t hsa_code_object_reader_destroy(hsa_code_object_reader_t reader) {
  return call([&](Runtime& r) { r.executables.destroy_reader(reader.handle); });
}

hsa_status_t hsa_executable_create(hsa_profile_t profile, hsa_executable_state_t state, const char*,
                                   hsa_executable_t* executable) {
  return call([&](Runtime& r) {
    check_profile(profile);
    require(executable && (state == HSA_EXECUTABLE_STATE_UNFROZEN || state == HSA_EXECUTABLE_STATE_FROZEN));
    executable->handle =
        r.executables.create(profile, HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT, state == HSA_EXECUTABLE_STATE_FROZEN);
  });
}

hsa_status_t hsa_executable_create_alt(hsa_profile_t profile, hsa_default_float_rounding_mode_t rounding, const char*,
                                       hsa_executable_t* executable) {
  return call([&](Runtime& r) {
    check_profile(profile);
    require(executable && rounding >= HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT &&
            rounding <= HSA_DEFAULT_FLOAT_ROUNDING_MODE_NEAR);
    executable->handle = r.executables.create(profile, rounding, false);
  });
}

hsa_status_t hsa_executable_destroy(hsa_executable_t executable) {
  return call([&](Runtime& r) { r.executables.destroy(executable.handle); });
}

hsa_status_t hsa_executable_load_agent_code_object(hsa_executable_t executable, hsa_agent_t agent,
                                                   hsa_code_object_reader_t reader, const char*,
                                                   hsa_loaded_code_object_t* loaded_code_object) {
  return call([&](Runtime& r) {
    require(is_gpu(agent), HSA_STATUS_ERROR_INVALID_AGENT);
    const std::uint64_t loaded = r.executables.load(executable.handle, reader.handle);
    if (loaded_code_object) loaded_code_object->handle = loaded;
  });
}

hsa_status_t hsa_executable_freeze(hsa_executable_t executable, const char*) {
  return call([&](Runtime& r) { r.executables.freeze(executable.handle); });
}

hsa_status_t hsa_executable_get_info(hsa_executable_t executable, hsa_executable_info_t attribute, void* value) {
  return call([&](Runtime& r) {
    r.executables.with(executable.handle, [&](const Executable& e) {
      require(value != nullptr);
      switch (attribute) {
        case HSA_EXECUTABLE_INFO_PROFILE:
          return put(value, e.profile);
        case HSA_EXECUTABLE_INFO_STATE:
          return put(value, e.frozen ? HSA_EXECUTABLE_STATE_FROZEN : HSA_EXECUTABLE_STATE_UNFROZEN);
        case HSA_EXECUTABLE_INFO_DEFAULT_FLOAT_ROUNDING_MODE:
          return put(value, e.rounding);
      }
      throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
    });
  });
}

hsa_status_t hsa_executable_global_variable_define(hsa_executable_t executable, const char* name, void* address) {
  return define(executable, name, address, /*constant=*/false, /*program=*/true);
}

hsa_status_t hsa_executable_agent_global_variable_define(hsa_executable_t executable, hsa_agent_t agent,
                                                         const char* name, void* address) {
  return call([&](Runtime&) {
    require(is_gpu(agent), HSA_STATUS_ERROR_INVALID_AGENT);
    return define(executable, name, address, /*constant=*/false, /*program=*/false);
  });
}

hsa_status_t hsa_executable_readonly_variable_define(hsa_executable_t executable, hsa_agent_t agent, const char* name,
                                                     void* address) {
  return call([&](Runtime&) {
    require(is_gpu(agent), HSA_STATUS_ERROR_INVALID_AGENT);
    return define(executable, name, address, /*constant=*/true, /*program=*/false);
  });
}

hsa_status_t hsa_executable_validate(hsa_executable_t executable, uint32_t* result) {
  return hsa_executable_validate_alt(executable, nullptr, result);
}

// Everything was checked when it was loaded.
hsa_status_t hsa_executable_validate_alt(hsa_executable_t executable, const char*, uint32_t* result) {
  return call([&](Runtime& r) {
    r.executables.with(executable.handle, [](const Executable&) {});
    require(result != nullptr);
    *result = 0;
  });
}

hsa_status_t hsa_executable_get_symbol_by_name(hsa_executable_t executable, const char* symbol_name,
                                               const hsa_agent_t* agent, hsa_executable_symbol_t* symbol) {
  return call([&](Runtime& r) {
    r.executables.with(executable.handle, [](const Executable&) {});
    require(symbol_name && symbol);
    require(!agent || is_gpu(*agent), HSA_STATUS_ERROR_INVALID_AGENT);
    *symbol = find_symbol(r, executable, symbol_name, /*program=*/agent == nullptr);
  });
}

hsa_status_t hsa_executable_get_symbol(hsa_executable_t executable, const char* module_name, const char* symbol_name,
                                       hsa_agent_t agent, int32_t, hsa_executable_symbol_t* symbol) {
  return call([&](Runtime& r) {
    r.executables.with(executable.handle, [](const Executable&) {});
    require(symbol_name && symbol);
    require(!module_name || !*module_name, HSA_STATUS_ERROR_INVALID_SYMBOL_NAME);
    require(agent.handle == 0 || is_gpu(agent), HSA_STATUS_ERROR_INVALID_AGENT);
    *symbol = find_symbol(r, executable, symbol_name, /*program=*/agent.handle == 0);
  });
}

hsa_status_t hsa_executable_symbol_get_info(hsa_executable_symbol_t symbol, hsa_executable_symbol_info_t attribute,
                                            void* value) {
  return call([&](Runtime& r) {
    r.executables.with_symbol(symbol.handle, [&](const ExecutableSymbol& s) {
      require(value != nullptr);
      symbol_info(s, attribute, value);
    });
  });
}

hsa_status_t hsa_executable_iterate_symbols(hsa_executable_t executable,
                                            hsa_status_t (*callback)(hsa_executable_t, hsa_executable_symbol_t, void*),
                                            void* data) {
  return call([&](Runtime& r) {
    const auto handles = symbols_of(r, executable, true, true);
    require(callback != nullptr);
    for (const std::uint64_t h : handles) {
      const hsa_status_t status = callback(executable, hsa_executable_symbol_t{h}, data);
      if (status != HSA_STATUS_SUCCESS) return status;
    }
    return HSA_STATUS_SUCCESS;
  });
}

hsa_status_t hsa_executable_iterate_agent_symbols(hsa_executable_t executable, hsa_agent_t agent,
                                                  hsa_status_t (*callback)(hsa_executable_t, hsa_agent_t,
                                                                           hsa_executable_symbol_t, void*),
                                                  void* data) {
  return call([&](Runtime& r) {
    const auto handles = symbols_of(r, executable, true, false);
    const bool gpu = is_gpu(agent);
    require(callback != nullptr);
    for (const std::uint64_t h : gpu ? handles : std::vector<std::uint64_t>()) {
      const hsa_status_t status = callback(executable, agent, hsa_executable_symbol_t{h}, data);
      if (status != HSA_STATUS_SUCCESS) return status;
    }
    return HSA_STATUS_SUCCESS;
  });
}

hsa_status_t hsa_executable_iterate_program_symbols(hsa_executable_t executable,
                                                    hsa_status_t (*callback)(hsa_executable_t, hsa_executable_symbol_t,
                                                                             void*),
                                                    void* data) {
  return call([&](Runtime& r) {
    const auto handles = symbols_of(r, executable, false, true);
    require(callback != nullptr);
    for (const std::uint64_t h : handles) {
      const hsa_status_t status = callback(executable, hsa_executable_symbol_t{h}, data);
      if (status != HSA_STATUS_SUCCESS) return status;
    }
    return HSA_STATUS_SUCCESS;
  });
}

}  // extern "C"
