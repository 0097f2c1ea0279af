// Reports of the emulator name the kernel's line, and dumps show it beside the instructions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "runtime/device.h"
#include "runtime/program.h"
#include "tests/support/temp_dir.h"

namespace wavetile {
namespace {

using testing::HasSubstr;

constexpr int kLoad = __LINE__ + 4, kStore = kLoad + 1;
Kernel scaled() {
  return Kernel("scaled", {"A", "C"}, [](Tensor<f32> A, Tensor<f32> C) {
    Range i = parallel("i", A.dim(0));
    Tile x = A(i);
    C(i) = x * 3;
  });
}
std::string place(int line) { return std::string(__FILE__) + ":" + std::to_string(line); }

class Lines : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    setenv("WAVETILE_EMULATOR", (std::string(GetParam()) + ",checks").c_str(), 1);
    device_ = Device::open("hsa:emulated");
  }
  CompiledKernel compiled(const DumpTo& dump = {}) {
    TensorSpec t{DType::f32, {64}, {1}, 64};
    return compile(scaled(), {t, t}, {}, device_->target(), dump);
  }
  std::string report(bool bad_load) {
    BufferPtr b = device_->allocate(256);
    const auto good = reinterpret_cast<int64_t>(b->address());
    ModulePtr m = device_->load(compiled());
    std::unique_ptr<Queue> queue = device_->queue();
    const int64_t slots[] = {bad_load ? 4096 : good, 64, 1, bad_load ? good : 4096, 64, 1};
    testing::internal::CaptureStderr();
    queue->launch(*m, 0, slots, 1);
    EXPECT_THROW(queue->wait(), Error);
    return testing::internal::GetCapturedStderr();
  }
  DevicePtr device_;
};
INSTANTIATE_TEST_SUITE_P(Chips, Lines, testing::Values("gfx1151", "gfx1100", "gfx942"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Lines, ReportsNameThem) {
  EXPECT_THAT(report(true), HasSubstr("source " + place(kLoad)));
  EXPECT_THAT(report(false), HasSubstr("source " + place(kStore)));
}

TEST_P(Lines, DumpsShowThem) {
  TempDir dir;
  const CompiledKernel k = compiled({dir.path().string()});
  std::string assembly, object;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    if (entry.path().string().find("-assembly.txt") != std::string::npos) assembly = bytes;
    if (entry.path().string().find("-object.o") != std::string::npos) object = bytes;
  }
  EXPECT_EQ(object, std::string(k.object.begin(), k.object.end()));
  EXPECT_THAT(assembly, HasSubstr("; " + place(kLoad) + "      Tile x = A(i);"));
  EXPECT_THAT(assembly, HasSubstr("; " + place(kStore) + "      C(i) = x * 3;"));
  EXPECT_THAT(assembly, HasSubstr("amdhsa.kernels:"));
}

}  // namespace
}  // namespace wavetile
