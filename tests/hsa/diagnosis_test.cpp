// What is said where an HSA device cannot be used: each cause, and what to do. The machine is made up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "runtime/hsa_device.h"
#include "runtime/hsa_diagnosis.h"
#include "tests/hsa/counting_api.h"
#include "tests/support/errors.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace wavetile {
namespace {

namespace fs = std::filesystem;
using hsa::Host;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Diagnosis : public testing::Test {
 protected:
  void SetUp() override { setenv("WAVETILE_EMULATOR", "gfx1151", 1); }
  void have(const std::string& path, const std::string& text = "") {
    const fs::path to = fs::path(host_.root) / path;
    fs::create_directories(to.parent_path());
    write_file(to, text);
  }

  TempDir dir_;
  Host host_{dir_.path().string(), [](const std::string&) { return true; }, {"users"}};
};

TEST_F(Diagnosis, NoDriver) {
  EXPECT_THAT(why_no_gpu(host_), AllOf(HasSubstr("/dev/kfd: it does not exist"), HasSubstr("`sudo modprobe amdgpu`")));
  fs::create_directories(fs::path(host_.root) / "sys/module/amdgpu");
  EXPECT_THAT(why_no_gpu(host_), AllOf(HasSubstr("in a container pass --device /dev/kfd"), Not(HasSubstr("modprobe"))));
}

TEST_F(Diagnosis, NotInTheGroups) {
  have("dev/kfd");
  host_.may_use = [](const std::string&) { return false; };
  const auto join = AllOf(HasSubstr("you are in users"), HasSubstr("sudo usermod -aG render,video $USER"));
  EXPECT_THAT(why_no_gpu(host_), AllOf(HasSubstr("/dev/kfd: this process may not use it"), join));
  have("dev/dri/renderD128");
  host_.may_use = [](const std::string& path) { return path.ends_with("kfd"); };
  EXPECT_THAT(why_no_gpu(host_), AllOf(HasSubstr("/dev/dri/renderD128: this process may not use it"), join));
}

TEST_F(Diagnosis, NoRenderNodeAndNothingWrong) {
  have("dev/kfd");
  EXPECT_THAT(why_no_gpu(host_), HasSubstr("/dev/dri: it has no render node"));
  have("dev/dri/renderD128");
  EXPECT_THAT(why_no_gpu(host_), HasSubstr("dmesg | grep -i amdgpu"));
}

TEST_F(Diagnosis, LibrariesThatAreNotThereOrOld) {
  const char* name = "WAVETILE_HSA_LIBRARY";
  setenv(name, "/nonexistent/library.so", 1);
  EXPECT_THAT(Device::diagnose(), AllOf(HasSubstr("/nonexistent/library.so"), HasSubstr("install ROCm")));
  setenv(name, "libm.so.6", 1);  // has none of the functions
  EXPECT_THAT(Device::diagnose(), AllOf(HasSubstr("it has no function hsa_init"), HasSubstr("install a newer ROCm")));
  unsetenv(name);

  auto old = Counted::api();
  old->hsa_system_get_info = [](hsa_system_info_t what, void* value) {
    const hsa_status_t s = Counted::real.hsa_system_get_info(what, value);
    if (what == HSA_SYSTEM_INFO_VERSION_MINOR) *static_cast<uint16_t*>(value) = 0;
    return s;
  };
  EXPECT_THAT(error_of([&] { hsa::System::open(old); }),
              AllOf(HasSubstr("HSA 1.0 is older than 1.1"), HasSubstr("install ROCm 5.2 or later")));
}

TEST_F(Diagnosis, NoAgent) {
  auto api = Counted::api();
  api->hsa_iterate_agents = [](hsa_status_t (*take)(hsa_agent_t, void*), void* data) {
    struct Filter {
      hsa_status_t (*take)(hsa_agent_t, void*);
      void* data;
    } filter{take, data};
    return Counted::real.hsa_iterate_agents(
        [](hsa_agent_t a, void* f) {
          hsa_device_type_t type{};
          Counted::real.hsa_agent_get_info(a, HSA_AGENT_INFO_DEVICE, &type);
          auto& filter = *static_cast<Filter*>(f);
          return type == HSA_DEVICE_TYPE_GPU ? HSA_STATUS_SUCCESS : filter.take(a, filter.data);
        },
        &filter);
  };
  const auto system = hsa::System::open(api);
  EXPECT_THAT(diagnose(*system, "hsa", host_), HasSubstr("hsa: no GPU: /dev/kfd: it does not exist"));
  EXPECT_THAT(error_of([&] { open_hsa(system, "hsa", {}); }),
              AllOf(HasSubstr("device 'hsa'"), HasSubstr("--device hsa:emulated")));
}

TEST_F(Diagnosis, AnAgentWithoutATarget) {
  auto api = Counted::api();
  api->hsa_isa_get_info_alt = [](hsa_isa_t isa, hsa_isa_info_t what, void* value) {
    const hsa_status_t s = Counted::real.hsa_isa_get_info_alt(isa, what, value);
    if (what == HSA_ISA_INFO_NAME) std::strcpy(static_cast<char*>(value), "amdgcn-amd-amdhsa--gfx1036");
    return s;
  };
  const auto system = hsa::System::open(api);
  EXPECT_THAT(diagnose(*system, "hsa:emulated", host_), HasSubstr("there is no target for gfx1036"));
  EXPECT_THAT(error_of([&] { open_hsa(system, "hsa:emulated", {}); }),
              AllOf(HasSubstr("amdgcn-amd-amdhsa--gfx1036"), HasSubstr("device 'hsa:emulated'")));
}

TEST_F(Diagnosis, AnAgentThatHasNoNameOfItsOwn) {
  auto api = Counted::api();
  api->hsa_agent_get_info = [](hsa_agent_t a, hsa_agent_info_t what, void* value) {
    if (what == static_cast<hsa_agent_info_t>(HSA_AMD_AGENT_INFO_PRODUCT_NAME))
      return std::memset(value, 0, 64), HSA_STATUS_SUCCESS;
    return Counted::real.hsa_agent_get_info(a, what, value);
  };
  EXPECT_THAT(diagnose(*hsa::System::open(api), "hsa:emulated", host_),
              HasSubstr("hsa:emulated: gfx1151, amdgcn-amd-amdhsa--gfx1151, 40 compute units"));
}

TEST_F(Diagnosis, AnApusMemoryAndTheRest) {
  const auto system = hsa::System::open(Counted::api());
  const auto plain = AllOf(HasSubstr("an APU: 16.0 GiB of memory for buffers"), HasSubstr("GiB for the host"));
  EXPECT_THAT(diagnose(*system, "hsa:emulated", host_), AllOf(plain, Not(HasSubstr("firmware"))));
  have("sys/bus/pci/devices/0000:01:00.0/mem_info_vram_total", "536870912\n");
  have("sys/bus/pci/devices/0000:01:00.0/mem_info_gtt_total", "64424509440\n");
  EXPECT_THAT(diagnose(*system, "hsa:emulated", host_),
              AllOf(plain, HasSubstr("sets 0.5 GiB aside for the GPU"), HasSubstr("60.0 GiB of the rest"),
                    HasSubstr("UMA frame buffer size"), HasSubstr("ttm.pages_limit")));
}

TEST_F(Diagnosis, TheProgramSaysHowToTryTheEmulator) {
  setenv("WAVETILE_HSA_LIBRARY", "/nonexistent/library.so", 1);
  const ProcessResult r = run_process({GPT2_DSL_RUN, "--device", "hsa", "--quiet"});
  EXPECT_EQ(r.code, 4);
  EXPECT_THAT(r.err, HasSubstr("--device hsa:emulated runs the same code on the emulator"));
  EXPECT_EQ(r.err.find("--device hsa:emulated"), r.err.rfind("--device hsa:emulated")) << r.err;
  const ProcessResult list = run_process({GPT2_DSL_RUN, "--list-devices", "--verbose"});
  EXPECT_EQ(list.code, 0);
  EXPECT_THAT(list.out, AllOf(HasSubstr("install ROCm"), HasSubstr("hsa:emulated: AMD Radeon")));
  unsetenv("WAVETILE_HSA_LIBRARY");
}

// AMD's runtime, where it drives a software model, starts once in a process.
TEST_F(Diagnosis, TheProgramStartsTheRuntimeOnce) {
  setenv("WAVETILE_HSA_LIBRARY", WAVETILE_HSA_ONCE, 1);
  const ProcessResult list = run_process({GPT2_DSL_RUN, "--list-devices", "--verbose"});
  EXPECT_EQ(list.code, 0);
  EXPECT_THAT(list.out, AllOf(HasSubstr("hsa:0  "), HasSubstr("\nhsa: " WAVETILE_HSA_ONCE ", HSA 1."),
                              Not(HasSubstr("hsa_init failed"))));
  unsetenv("WAVETILE_HSA_LIBRARY");
}

}  // namespace
}  // namespace wavetile
