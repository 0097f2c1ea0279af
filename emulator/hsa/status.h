// How the functions of the library say no: helpers throw Refused, and the C function returns its status.
#pragma once

#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>

#include <exception>
#include <new>

namespace wavetile::emu::hsa {

class Runtime;
/// The runtime between hsa_init and the last hsa_shut_down; nullptr outside.
Runtime* current();

struct Refused {
  hsa_status_t status;
};

inline constexpr auto kInvalidMemoryPool = static_cast<hsa_status_t>(HSA_STATUS_ERROR_INVALID_MEMORY_POOL);

inline void require(bool condition, hsa_status_t otherwise = HSA_STATUS_ERROR_INVALID_ARGUMENT) {
  if (!condition) throw Refused{otherwise};
}

/// Runs the body of an API function, which returns nothing or a status.
template <typename Body>
hsa_status_t call(Body&& body) {
  Runtime* runtime = current();
  if (!runtime) return HSA_STATUS_ERROR_NOT_INITIALIZED;
  try {
    if constexpr (std::is_void_v<decltype(body(*runtime))>) {
      body(*runtime);
      return HSA_STATUS_SUCCESS;
    } else {
      return body(*runtime);
    }
  } catch (const Refused& r) {
    return r.status;
  } catch (const std::bad_alloc&) {
    return HSA_STATUS_ERROR_OUT_OF_RESOURCES;
  } catch (const std::exception&) {
    return HSA_STATUS_ERROR;
  }
}

/// An attribute's value into the caller's buffer.
template <typename T>
void put(void* to, const T& value) {
  *static_cast<T*>(to) = value;
}

}  // namespace wavetile::emu::hsa
