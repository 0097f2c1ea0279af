// Functions of the headers for what this library does not have. They exist so that programs link, and answer with the
// status that the headers give for it, after the one for a runtime that is not initialised.
#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>
#include <hsa/hsa_ext_finalize.h>
#include <hsa/hsa_ext_image.h>

#include "emulator/hsa/runtime.h"

using namespace wavetile::emu::hsa;

namespace {

hsa_status_t absent(hsa_status_t status) {
  return call([&](Runtime&) { return status; });
}

}  // namespace

extern "C" {

// Code objects without a reader (deprecated): none can exist, since none can be deserialized.
hsa_status_t hsa_code_object_serialize(hsa_code_object_t, hsa_status_t (*)(size_t, hsa_callback_data_t, void**),
                                       hsa_callback_data_t, const char*, void**, size_t*) {
  return absent(HSA_STATUS_ERROR_INVALID_CODE_OBJECT);
}
hsa_status_t hsa_code_object_deserialize(void*, size_t, const char*, hsa_code_object_t*) {
  return absent(HSA_STATUS_ERROR_INVALID_CODE_OBJECT);
}
hsa_status_t hsa_code_object_destroy(hsa_code_object_t) { return absent(HSA_STATUS_ERROR_INVALID_CODE_OBJECT); }
hsa_status_t hsa_code_object_get_info(hsa_code_object_t, hsa_code_object_info_t, void*) {
  return absent(HSA_STATUS_ERROR_INVALID_CODE_OBJECT);
}
hsa_status_t hsa_executable_load_code_object(hsa_executable_t, hsa_agent_t, hsa_code_object_t, const char*) {
  return absent(HSA_STATUS_ERROR_INVALID_CODE_OBJECT);
}
hsa_status_t hsa_code_object_get_symbol(hsa_code_object_t, const char*, hsa_code_symbol_t*) {
  return absent(HSA_STATUS_ERROR_INVALID_CODE_OBJECT);
}
hsa_status_t hsa_code_object_get_symbol_from_name(hsa_code_object_t, const char*, const char*, hsa_code_symbol_t*) {
  return absent(HSA_STATUS_ERROR_INVALID_CODE_OBJECT);
}
hsa_status_t hsa_code_object_iterate_symbols(hsa_code_object_t,
                                             hsa_status_t (*)(hsa_code_object_t, hsa_code_symbol_t, void*), void*) {
  return absent(HSA_STATUS_ERROR_INVALID_CODE_OBJECT);
}
hsa_status_t hsa_code_symbol_get_info(hsa_code_symbol_t, hsa_code_symbol_info_t, void*) {
  return absent(HSA_STATUS_ERROR_INVALID_CODE_SYMBOL);
}

// Code objects for no agent in particular: LLVM makes none.
hsa_status_t hsa_executable_load_program_code_object(hsa_executable_t, hsa_code_object_reader_t, const char*,
                                                     hsa_loaded_code_object_t*) {
  return absent(HSA_STATUS_ERROR_INCOMPATIBLE_ARGUMENTS);
}

// Memory and signals of other processes, of graphics, and shared virtual memory.
hsa_status_t hsa_amd_interop_map_buffer(uint32_t, hsa_agent_t*, int, uint32_t, size_t*, void**, size_t*, const void**) {
  return absent(HSA_STATUS_ERROR_OUT_OF_RESOURCES);
}
hsa_status_t hsa_amd_ipc_memory_create(void*, size_t, hsa_amd_ipc_memory_t*) {
  return absent(HSA_STATUS_ERROR_OUT_OF_RESOURCES);
}
hsa_status_t hsa_amd_ipc_signal_create(hsa_signal_t, hsa_amd_ipc_signal_t*) {
  return absent(HSA_STATUS_ERROR_OUT_OF_RESOURCES);
}
hsa_status_t hsa_amd_interop_unmap_buffer(void*) { return absent(HSA_STATUS_ERROR_INVALID_ARGUMENT); }
hsa_status_t hsa_amd_ipc_memory_attach(const hsa_amd_ipc_memory_t*, size_t, uint32_t, const hsa_agent_t*, void**) {
  return absent(HSA_STATUS_ERROR_INVALID_ARGUMENT);
}
hsa_status_t hsa_amd_ipc_memory_detach(void*) { return absent(HSA_STATUS_ERROR_INVALID_ARGUMENT); }
hsa_status_t hsa_amd_ipc_signal_attach(const hsa_amd_ipc_signal_t*, hsa_signal_t*) {
  return absent(HSA_STATUS_ERROR_INVALID_ARGUMENT);
}

// HSA_AMD_SYSTEM_INFO_SVM_SUPPORTED is false.
hsa_status_t hsa_amd_svm_attributes_set(void*, size_t, hsa_amd_svm_attribute_pair_t*, size_t) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_amd_svm_attributes_get(void*, size_t, hsa_amd_svm_attribute_pair_t*, size_t) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_amd_svm_prefetch_async(void*, size_t, hsa_agent_t, uint32_t, const hsa_signal_t*, hsa_signal_t) {
  return absent(HSA_STATUS_ERROR);
}

// Images: the extension is not there.
hsa_status_t hsa_amd_image_create(hsa_agent_t, const hsa_ext_image_descriptor_t*, const hsa_amd_image_descriptor_t*,
                                  const void*, hsa_access_permission_t, hsa_ext_image_t*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_amd_image_get_info_max_dim(hsa_agent_t, hsa_agent_info_t, void*) { return absent(HSA_STATUS_ERROR); }
hsa_status_t hsa_ext_image_get_capability(hsa_agent_t, hsa_ext_image_geometry_t, const hsa_ext_image_format_t*,
                                          uint32_t*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_image_get_capability_with_layout(hsa_agent_t, hsa_ext_image_geometry_t,
                                                      const hsa_ext_image_format_t*, hsa_ext_image_data_layout_t,
                                                      uint32_t*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_image_data_get_info(hsa_agent_t, const hsa_ext_image_descriptor_t*, hsa_access_permission_t,
                                         hsa_ext_image_data_info_t*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_image_data_get_info_with_layout(hsa_agent_t, const hsa_ext_image_descriptor_t*,
                                                     hsa_access_permission_t, hsa_ext_image_data_layout_t, size_t,
                                                     size_t, hsa_ext_image_data_info_t*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_image_create(hsa_agent_t, const hsa_ext_image_descriptor_t*, const void*, hsa_access_permission_t,
                                  hsa_ext_image_t*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_image_create_with_layout(hsa_agent_t, const hsa_ext_image_descriptor_t*, const void*,
                                              hsa_access_permission_t, hsa_ext_image_data_layout_t, size_t, size_t,
                                              hsa_ext_image_t*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_image_destroy(hsa_agent_t, hsa_ext_image_t) { return absent(HSA_STATUS_ERROR); }
hsa_status_t hsa_ext_image_copy(hsa_agent_t, hsa_ext_image_t, const hsa_dim3_t*, hsa_ext_image_t, const hsa_dim3_t*,
                                const hsa_dim3_t*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_image_import(hsa_agent_t, const void*, size_t, size_t, hsa_ext_image_t,
                                  const hsa_ext_image_region_t*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_image_export(hsa_agent_t, hsa_ext_image_t, void*, size_t, size_t, const hsa_ext_image_region_t*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_image_clear(hsa_agent_t, hsa_ext_image_t, const void*, const hsa_ext_image_region_t*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_sampler_create(hsa_agent_t, const hsa_ext_sampler_descriptor_t*, hsa_ext_sampler_t*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_sampler_destroy(hsa_agent_t, hsa_ext_sampler_t) { return absent(HSA_STATUS_ERROR); }

// The finalizer (deprecated): the extension is not there.
hsa_status_t hsa_ext_program_create(hsa_machine_model_t, hsa_profile_t, hsa_default_float_rounding_mode_t, const char*,
                                    hsa_ext_program_t*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_program_destroy(hsa_ext_program_t) { return absent(HSA_STATUS_ERROR); }
hsa_status_t hsa_ext_program_add_module(hsa_ext_program_t, hsa_ext_module_t) { return absent(HSA_STATUS_ERROR); }
hsa_status_t hsa_ext_program_iterate_modules(hsa_ext_program_t,
                                             hsa_status_t (*)(hsa_ext_program_t, hsa_ext_module_t, void*), void*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_program_get_info(hsa_ext_program_t, hsa_ext_program_info_t, void*) {
  return absent(HSA_STATUS_ERROR);
}
hsa_status_t hsa_ext_program_finalize(hsa_ext_program_t, hsa_isa_t, int32_t, hsa_ext_control_directives_t, const char*,
                                      hsa_code_object_type_t, hsa_code_object_t*) {
  return absent(HSA_STATUS_ERROR);
}

}  // extern "C"
