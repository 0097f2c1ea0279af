#include "runtime/hsa_api.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdlib>
#include <vector>

#include <fmt/format.h>

#include "dsl/error.h"

namespace wavetile::hsa {
namespace {

constexpr const char* kLibrary = "libhsa-runtime64.so.1";

// AMD's packages register their libraries with the loader, or leave them where they are installed.
std::vector<std::string> places(bool emulator) {
  if (const char* given = secure_getenv(emulator ? "WAVETILE_EMULATOR_LIBRARY" : "WAVETILE_HSA_LIBRARY"))
    return {given};
  if (emulator) return {WAVETILE_BUILT_EMULATOR, WAVETILE_INSTALLED_EMULATOR};
  return {kLibrary, std::string("/opt/rocm/lib/") + kLibrary};
}

std::string path_of(void* library) {
  link_map* map = nullptr;
  return dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 ? map->l_name : kLibrary;
}

// A library that is loaded already answers to its name: the emulator's must not pass for AMD's.
bool is_other(void* library, bool emulator) {
  if (emulator || secure_getenv("WAVETILE_HSA_LIBRARY")) return false;
  void* own = dlopen(WAVETILE_BUILT_EMULATOR, RTLD_NOW | RTLD_NOLOAD);
  if (!own) own = dlopen(WAVETILE_INSTALLED_EMULATOR, RTLD_NOW | RTLD_NOLOAD);
  if (own) dlclose(own);
  return own == library;
}

}  // namespace

std::shared_ptr<const Api> Api::load(bool emulator) {
  void* library = nullptr;
  std::string tried;
  for (const std::string& place : places(emulator)) {
    library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library && is_other(library, emulator)) {
      dlclose(library);
      library = nullptr;
      tried += fmt::format("\n  {}: is the emulator's here", place);
    } else if (!library) {
      tried += fmt::format("\n  {}", dlerror());
    }
    if (library) break;
  }
  if (!library && emulator)
    throw Error(
        fmt::format("the emulator's HSA library cannot be loaded; build the target wavetile_hsa, or set "
                    "WAVETILE_EMULATOR_LIBRARY to its path:{}",
                    tried));
  if (!library)
    throw Error(fmt::format(
        "AMD's HSA runtime, {}, cannot be loaded; install ROCm, or Debian's package libhsa-runtime64-1, or set "
        "WAVETILE_HSA_LIBRARY to its path:{}",
        kLibrary, tried));
  auto api = std::make_shared<Api>();
  api->path = path_of(library);
  api->emulated = emulator;
  auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, name));
    if (!function)
      throw Error(
          fmt::format("{}: it has no function {}: it is older than ROCm 5.2; install a newer ROCm", api->path, name));
  };
#define WAVETILE_HSA_FUNCTION(name) find(api->name, #name);
  WAVETILE_HSA_FUNCTIONS(WAVETILE_HSA_FUNCTION)
#undef WAVETILE_HSA_FUNCTION
  return api;
}

std::string Api::text_of(hsa_status_t status) const {
  const char* text = nullptr;
  if (hsa_status_string(status, &text) != HSA_STATUS_SUCCESS || !text)
    return fmt::format("status {}", static_cast<int>(status));
  return text;
}

void Api::check(hsa_status_t status, const std::string& what) const {
  if (status != HSA_STATUS_SUCCESS) throw Error(fmt::format("{} failed: {}", what, text_of(status)));
}

}  // namespace wavetile::hsa
