#include <hsa/hsa_ven_amd_loader.h>

#include <cstdio>
#include <cstring>

#include <gmock/gmock.h>

#include "tests/emulator/compiler.h"
#include "tests/emulator/hsa_library.h"

namespace wavetile::emu {
namespace {

using testing::HasSubstr;

constexpr const char* kSource = R"(
@table = addrspace(1) global [3 x i32] [i32 7, i32 8, i32 9], align 16
@fixed = addrspace(1) constant i32 5, align 4
define amdgpu_kernel void @work(ptr addrspace(1) %p, i32 %n) #0 {
  %a = load i32, ptr addrspace(1) @table
  %b = load i32, ptr addrspace(1) @fixed
  %c = add i32 %a, %b
  store i32 %c, ptr addrspace(1) %p
  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" "amdgpu-no-implicitarg-ptr" }
)";

class HsaExecutable : public HsaTest {
 protected:
  static const std::vector<std::byte>& code() {
    static const auto bytes = compile_ir("gfx1151", kSource);
    return bytes;
  }
  hsa_code_object_reader_t reader(const std::vector<std::byte>& bytes = code()) {
    hsa_code_object_reader_t r{};
    EXPECT_OK(HSA(hsa_code_object_reader_create_from_memory)(bytes.data(), bytes.size(), &r));
    return r;
  }
  hsa_executable_t executable() {
    hsa_executable_t e{};
    EXPECT_OK(HSA(hsa_executable_create_alt)(HSA_PROFILE_FULL, HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT, nullptr, &e));
    return e;
  }
  hsa_status_t load(hsa_executable_t e, hsa_code_object_reader_t r) {
    return HSA(hsa_executable_load_agent_code_object)(e, gpu, r, nullptr, nullptr);
  }
  template <typename T>
  T info(hsa_executable_symbol_t s, hsa_executable_symbol_info_t attribute) {
    T value{};
    EXPECT_OK(HSA(hsa_executable_symbol_get_info)(s, attribute, &value)) << attribute;
    return value;
  }
};

TEST_F(HsaExecutable, Arguments) {
  hsa_executable_t e{};
  hsa_code_object_reader_t r{};
  const auto create = HSA(hsa_executable_create_alt);
  constexpr auto kDefault = HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT;
  EXPECT_EQ(create(HSA_PROFILE_FULL, kDefault, nullptr, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(create(static_cast<hsa_profile_t>(7), kDefault, nullptr, &e), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(create(HSA_PROFILE_FULL, static_cast<hsa_default_float_rounding_mode_t>(3), nullptr, &e),
            HSA_STATUS_ERROR_INVALID_ARGUMENT);
  const auto from_memory = HSA(hsa_code_object_reader_create_from_memory);
  EXPECT_EQ(from_memory(nullptr, 1, &r), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(from_memory(&e, 0, &r), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(from_memory(&e, 1, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_code_object_reader_create_from_file)(-1, &r), HSA_STATUS_ERROR_INVALID_FILE);
  EXPECT_EQ(HSA(hsa_code_object_reader_destroy)({1}), HSA_STATUS_ERROR_INVALID_CODE_OBJECT_READER);
  EXPECT_EQ(HSA(hsa_executable_destroy)({1}), HSA_STATUS_ERROR_INVALID_EXECUTABLE);
  EXPECT_EQ(HSA(hsa_executable_freeze)({1}, nullptr), HSA_STATUS_ERROR_INVALID_EXECUTABLE);
  EXPECT_EQ(HSA(hsa_executable_validate)({1}, nullptr), HSA_STATUS_ERROR_INVALID_EXECUTABLE);
  hsa_executable_symbol_t s{};
  EXPECT_EQ(HSA(hsa_executable_get_symbol_by_name)({1}, "x", &gpu, &s), HSA_STATUS_ERROR_INVALID_EXECUTABLE);
  std::uint64_t value = 0;
  EXPECT_EQ(HSA(hsa_executable_symbol_get_info)({1}, HSA_EXECUTABLE_SYMBOL_INFO_TYPE, &value),
            HSA_STATUS_ERROR_INVALID_EXECUTABLE_SYMBOL);
  e = executable();
  r = reader();
  EXPECT_EQ(HSA(hsa_executable_load_agent_code_object)(e, cpu, r, nullptr, nullptr), HSA_STATUS_ERROR_INVALID_AGENT);
  EXPECT_EQ(load({1}, r), HSA_STATUS_ERROR_INVALID_EXECUTABLE);
  EXPECT_EQ(load(e, {1}), HSA_STATUS_ERROR_INVALID_CODE_OBJECT_READER);
  EXPECT_EQ(HSA(hsa_executable_get_symbol_by_name)(e, nullptr, &gpu, &s), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_executable_get_symbol_by_name)(e, "none", &gpu, &s), HSA_STATUS_ERROR_INVALID_SYMBOL_NAME);
  EXPECT_EQ(HSA(hsa_executable_get_info)(e, static_cast<hsa_executable_info_t>(9), &value),
            HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_OK(HSA(hsa_executable_freeze)(e, nullptr));
  EXPECT_EQ(HSA(hsa_executable_freeze)(e, nullptr), HSA_STATUS_ERROR_FROZEN_EXECUTABLE);
  EXPECT_EQ(load(e, r), HSA_STATUS_ERROR_FROZEN_EXECUTABLE);
  EXPECT_EQ(HSA(hsa_executable_agent_global_variable_define)(e, gpu, "x", &e), HSA_STATUS_ERROR_FROZEN_EXECUTABLE);
  EXPECT_OK(HSA(hsa_code_object_reader_destroy)(r));
  EXPECT_OK(HSA(hsa_executable_destroy)(e));
}

TEST_F(HsaExecutable, Symbols) {
  const hsa_executable_t e = executable();
  const hsa_code_object_reader_t r = reader();
  ASSERT_OK(load(e, r));
  EXPECT_OK(HSA(hsa_code_object_reader_destroy)(r));
  ASSERT_OK(HSA(hsa_executable_freeze)(e, nullptr));
  std::uint32_t problems = 1;
  EXPECT_OK(HSA(hsa_executable_validate)(e, &problems));
  EXPECT_EQ(problems, 0u);

  hsa_executable_symbol_t kernel{}, table{}, fixed{};
  ASSERT_OK(HSA(hsa_executable_get_symbol_by_name)(e, "work.kd", &gpu, &kernel));
  ASSERT_OK(HSA(hsa_executable_get_symbol_by_name)(e, "table", &gpu, &table));
  ASSERT_OK(HSA(hsa_executable_get_symbol)(e, nullptr, "fixed", gpu, 0, &fixed));
  EXPECT_EQ(HSA(hsa_executable_get_symbol_by_name)(e, "table", nullptr, &table), HSA_STATUS_ERROR_INVALID_SYMBOL_NAME);
  EXPECT_EQ(info<hsa_symbol_kind_t>(kernel, HSA_EXECUTABLE_SYMBOL_INFO_TYPE), HSA_SYMBOL_KIND_KERNEL);
  EXPECT_EQ(info<hsa_symbol_kind_t>(table, HSA_EXECUTABLE_SYMBOL_INFO_TYPE), HSA_SYMBOL_KIND_VARIABLE);
  EXPECT_EQ(info<std::uint32_t>(kernel, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_KERNARG_SEGMENT_SIZE), 12u);
  EXPECT_EQ(info<std::uint32_t>(kernel, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_KERNARG_SEGMENT_ALIGNMENT), 16u);
  EXPECT_EQ(info<std::uint32_t>(kernel, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_GROUP_SEGMENT_SIZE), 0u);
  EXPECT_EQ(info<std::uint64_t>(kernel, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT) % 64, 0u);
  EXPECT_FALSE(info<bool>(kernel, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_DYNAMIC_CALLSTACK));
  EXPECT_EQ(info<std::uint32_t>(table, HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_SIZE), 12u);
  EXPECT_GE(info<std::uint32_t>(table, HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_ALIGNMENT), 16u);
  EXPECT_FALSE(info<bool>(table, HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_IS_CONST));
  EXPECT_TRUE(info<bool>(fixed, HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_IS_CONST));
  EXPECT_EQ(info<hsa_agent_t>(fixed, HSA_EXECUTABLE_SYMBOL_INFO_AGENT).handle, gpu.handle);
  const auto address = info<std::uint64_t>(table, HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_ADDRESS);
  EXPECT_EQ(reinterpret_cast<const std::int32_t*>(address)[2], 9);
  std::uint64_t value = 0;
  EXPECT_EQ(HSA(hsa_executable_symbol_get_info)(table, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT, &value),
            HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_executable_symbol_get_info)(kernel, HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_SIZE, &value),
            HSA_STATUS_ERROR_INVALID_ARGUMENT);

  std::vector<std::string> names;
  EXPECT_OK(HSA(hsa_executable_iterate_agent_symbols)(
      e, gpu,
      [](hsa_executable_t, hsa_agent_t, hsa_executable_symbol_t s, void* data) {
        std::uint32_t length = 0;
        EXPECT_OK(HSA(hsa_executable_symbol_get_info)(s, HSA_EXECUTABLE_SYMBOL_INFO_NAME_LENGTH, &length));
        std::string name(length, ' ');
        EXPECT_OK(HSA(hsa_executable_symbol_get_info)(s, HSA_EXECUTABLE_SYMBOL_INFO_NAME, name.data()));
        static_cast<std::vector<std::string>*>(data)->push_back(name);
        return HSA_STATUS_SUCCESS;
      },
      &names));
  EXPECT_THAT(names, testing::UnorderedElementsAre("work.kd", "table", "fixed"));
  EXPECT_EQ(HSA(hsa_executable_iterate_agent_symbols)(e, gpu, nullptr, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_OK(HSA(hsa_executable_destroy)(e));
  EXPECT_EQ(HSA(hsa_executable_symbol_get_info)(kernel, HSA_EXECUTABLE_SYMBOL_INFO_TYPE, &value),
            HSA_STATUS_ERROR_INVALID_EXECUTABLE_SYMBOL);
}

TEST_F(HsaExecutable, VariablesFromOutside) {
  const hsa_executable_t e = executable();
  static int variable = 3;
  const auto define = HSA(hsa_executable_agent_global_variable_define);
  EXPECT_EQ(define(e, gpu, nullptr, &variable), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(define(e, cpu, "v", &variable), HSA_STATUS_ERROR_INVALID_AGENT);
  EXPECT_OK(define(e, gpu, "v", &variable));
  EXPECT_EQ(define(e, gpu, "v", &variable), HSA_STATUS_ERROR_VARIABLE_ALREADY_DEFINED);
  EXPECT_OK(HSA(hsa_executable_readonly_variable_define)(e, gpu, "w", &variable));
  EXPECT_OK(HSA(hsa_executable_global_variable_define)(e, "all", &variable));
  hsa_executable_symbol_t s{};
  ASSERT_OK(HSA(hsa_executable_get_symbol_by_name)(e, "v", &gpu, &s));
  EXPECT_EQ(info<void*>(s, HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_ADDRESS), &variable);
  ASSERT_OK(HSA(hsa_executable_get_symbol_by_name)(e, "all", nullptr, &s));
  EXPECT_EQ(info<hsa_variable_allocation_t>(s, HSA_EXECUTABLE_SYMBOL_INFO_VARIABLE_ALLOCATION),
            HSA_VARIABLE_ALLOCATION_PROGRAM);
  // A code object that defines what is defined already.
  EXPECT_OK(define(e, gpu, "table", &variable));
  const hsa_code_object_reader_t r = reader();
  EXPECT_EQ(load(e, r), HSA_STATUS_ERROR_VARIABLE_ALREADY_DEFINED);
  EXPECT_OK(HSA(hsa_code_object_reader_destroy)(r));
  EXPECT_OK(HSA(hsa_executable_destroy)(e));
}

TEST_F(HsaExecutable, WrongCodeObjects) {
  const hsa_executable_t e = executable();
  std::vector<std::byte> broken = code();
  broken[18] = std::byte{62};  // the machine
  const std::vector<std::byte> other = compile_ir("gfx942", kSource);
  const struct {
    const std::vector<std::byte>& bytes;
    hsa_status_t status;
    const char* text;
  } cases[] = {{broken, HSA_STATUS_ERROR_INVALID_CODE_OBJECT, "machine 62"},
               {other, HSA_STATUS_ERROR_INCOMPATIBLE_ARGUMENTS, "made for gfx942"}};
  for (const auto& c : cases) {
    const hsa_code_object_reader_t r = reader(c.bytes);
    testing::internal::CaptureStderr();
    EXPECT_EQ(load(e, r), c.status);
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr(c.text));
    EXPECT_OK(HSA(hsa_code_object_reader_destroy)(r));
  }
  EXPECT_OK(HSA(hsa_executable_destroy)(e));
}

TEST_F(HsaExecutable, LoaderExtension) {
  std::FILE* file = std::tmpfile();
  ASSERT_TRUE(file);
  std::fwrite("head", 1, 4, file);
  std::fwrite(code().data(), 1, code().size(), file);
  std::fflush(file);
  hsa_code_object_reader_t r{};
  const auto from_file = HSA(hsa_ven_amd_loader_code_object_reader_create_from_file_with_offset_size);
  EXPECT_EQ(from_file(fileno(file), 4, code().size() + 1, &r), HSA_STATUS_ERROR_INVALID_CODE_OBJECT);
  ASSERT_OK(from_file(fileno(file), 4, code().size(), &r));
  const hsa_executable_t e = executable();
  hsa_loaded_code_object_t loaded{};
  ASSERT_OK(HSA(hsa_executable_load_agent_code_object)(e, gpu, r, nullptr, &loaded));
  const auto loaded_info = HSA(hsa_ven_amd_loader_loaded_code_object_get_info);
  std::uint64_t base = 0, bytes = 0;
  EXPECT_OK(loaded_info(loaded, HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_LOAD_BASE, &base));
  EXPECT_OK(loaded_info(loaded, HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_LOAD_SIZE, &bytes));
  std::uint32_t storage = 0;
  EXPECT_OK(loaded_info(loaded, HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_CODE_OBJECT_STORAGE_TYPE, &storage));
  EXPECT_EQ(storage, static_cast<std::uint32_t>(HSA_VEN_AMD_LOADER_CODE_OBJECT_STORAGE_TYPE_FILE));
  EXPECT_EQ(loaded_info({1}, HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_LOAD_BASE, &base),
            HSA_STATUS_ERROR_INVALID_CODE_OBJECT);
  std::uint32_t length = 0;
  EXPECT_OK(loaded_info(loaded, HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_URI_LENGTH, &length));
  std::string uri(length, ' ');
  EXPECT_OK(loaded_info(loaded, HSA_VEN_AMD_LOADER_LOADED_CODE_OBJECT_INFO_URI, uri.data()));
  EXPECT_THAT(uri, testing::MatchesRegex("file://.*#offset=4&size=[0-9]+"));
  hsa_executable_t owner{};
  const void *inside = reinterpret_cast<const void*>(base + 64), *host = nullptr;
  EXPECT_OK(HSA(hsa_ven_amd_loader_query_executable)(inside, &owner));
  EXPECT_EQ(owner.handle, e.handle);
  EXPECT_OK(HSA(hsa_ven_amd_loader_query_host_address)(inside, &host));
  EXPECT_EQ(host, inside);
  EXPECT_EQ(HSA(hsa_ven_amd_loader_query_host_address)(&owner, &host), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  std::size_t segments = 0;
  const auto query = HSA(hsa_ven_amd_loader_query_segment_descriptors);
  EXPECT_OK(query(nullptr, &segments));
  ASSERT_EQ(segments, 1u);
  hsa_ven_amd_loader_segment_descriptor_t descriptor{};
  EXPECT_OK(query(&descriptor, &segments));
  EXPECT_EQ(descriptor.segment_size, bytes);
  segments = 2;
  EXPECT_EQ(query(&descriptor, &segments), HSA_STATUS_ERROR_INCOMPATIBLE_ARGUMENTS);
  int executables = 0;
  EXPECT_OK(HSA(hsa_ven_amd_loader_iterate_executables)(
      [](hsa_executable_t, void* n) {
        ++*static_cast<int*>(n);
        return HSA_STATUS_SUCCESS;
      },
      &executables));
  EXPECT_EQ(executables, 1);
  EXPECT_OK(HSA(hsa_code_object_reader_destroy)(r));
  EXPECT_OK(HSA(hsa_executable_destroy)(e));
  std::fclose(file);
}

}  // namespace
}  // namespace wavetile::emu
