// The emulator's HSA library in AMD's ways: after hsa_shut_down no hsa_init succeeds in the same process. All else is
// found in the library behind this one.
#include <dlfcn.h>
#include <hsa/hsa.h>

#include <atomic>

namespace {

template <class F>
F* real(F*, const char* name) {
  static void* const library = dlopen(WAVETILE_HSA_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  return reinterpret_cast<F*>(dlsym(library, name));
}

std::atomic<int> starts{0}, over{0};

}  // namespace

extern "C" hsa_status_t hsa_init() {
  if (over) return HSA_STATUS_ERROR_OUT_OF_RESOURCES;
  ++starts;
  return real(&hsa_init, "hsa_init")();
}

extern "C" hsa_status_t hsa_shut_down() {
  over = --starts == 0;
  return real(&hsa_shut_down, "hsa_shut_down")();
}
