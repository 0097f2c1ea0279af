// A device on the emulator, opened anew in each test; what the emulator prints when it is shut down is the test's.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "codegen/compile.h"
#include "runtime/device.h"
#include "tests/support/errors.h"

namespace wavetile {

class OnTheEmulator : public testing::Test {
 protected:
  void TearDown() override {
    buffers_.clear();
    testing::internal::CaptureStderr();
    device_.reset();
    EXPECT_EQ(testing::internal::GetCapturedStderr(), farewell_);
  }

  TensorView tensor(const std::vector<float>& values) {
    buffers_.push_back(device_->allocate(values.size() * 4));
    device_->write(*buffers_.back(), 0, values.data(), values.size() * 4);
    return buffers_.back()->view(DType::f32, {static_cast<int64_t>(values.size())});
  }
  std::vector<float> floats(size_t buffer, size_t count) {
    std::vector<float> values(count);
    device_->read(values.data(), *buffers_[buffer], 0, count * 4);
    return values;
  }
  float first(size_t buffer) { return floats(buffer, 1)[0]; }
  ModulePtr load(const Kernel& k, const std::vector<TensorView>& tensors) {
    return device_->load(compile(k, signature_of(tensors), {}, device_->target()));
  }

  DevicePtr device_;
  std::vector<BufferPtr> buffers_;
  std::string farewell_;  // what the emulator has to say at the end
};

}  // namespace wavetile
