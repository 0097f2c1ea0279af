#include "bench/counting_device.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "emulator/emulator.h"

namespace wavetile::bench {
namespace {

using EmulatorPtr = std::shared_ptr<emu::Emulator>;

class CountedBuffer : public Buffer {
 public:
  CountedBuffer(EmulatorPtr emulator, size_t bytes) : emulator_(std::move(emulator)), bytes_(bytes) {
    constexpr size_t kAlignment = 128, kTail = 64;
    const size_t size = (bytes + kTail + kAlignment - 1) / kAlignment * kAlignment;
    address_ = std::aligned_alloc(kAlignment, size);
    if (!address_) throw Error(fmt::format("no memory for a buffer of {} bytes", bytes));
    std::memset(address_, 0, size);
    emulator_->memory().add(address_, size, "global memory", true, true);
  }
  ~CountedBuffer() override {
    emulator_->memory().remove(address_);
    std::free(address_);
  }
  CountedBuffer(const CountedBuffer&) = delete;
  size_t bytes() const override { return bytes_; }
  void* address() const override { return address_; }

 private:
  EmulatorPtr emulator_;
  size_t bytes_;
  void* address_ = nullptr;
};

class CountedModule : public Module {
 public:
  CountedModule(CompiledKernel k, EmulatorPtr emulator) : Module(std::move(k)), emulator_(std::move(emulator)) {
    const std::vector<char>& file = kernel().object;
    object_ = emulator_->load({reinterpret_cast<const std::byte*>(file.data()), file.size()}, kernel().name);
  }
  ~CountedModule() override { emulator_->unload(object_); }
  CountedModule(const CountedModule&) = delete;
  const emu::KernelInfo& info(size_t stage) const {
    const std::string& symbol = kernel().stages[stage].symbol;
    const emu::KernelInfo* found = object_->find_kernel(symbol);
    if (!found) throw InternalError(fmt::format("the code object of kernel '{}' lacks '{}'", kernel().name, symbol));
    return *found;
  }

 private:
  EmulatorPtr emulator_;
  std::shared_ptr<emu::CodeObject> object_;
};

using Counts = std::vector<CountedLaunch>;

std::string describe(const CompiledKernel& k, size_t stage) {
  std::string extents;
  int64_t most = 0;
  for (const TensorSpec& t : k.signature) {
    int64_t elements = 1;
    std::string text;
    for (auto e : t.extents) {
      elements *= e.value_or(1);
      text += fmt::format("{}{}", text.empty() ? "" : ", ", e ? std::to_string(*e) : "?");
    }
    if (elements > most) most = elements, extents = text;
  }
  return fmt::format("{} [{}]", k.stages[stage].symbol, extents);
}

class CountedQueue : public Queue {
 public:
  CountedQueue(EmulatorPtr emulator, std::shared_ptr<Counts> counts, int lanes)
      : emulator_(std::move(emulator)), counts_(std::move(counts)), lanes_(lanes) {}

  void launch(const Module& m, size_t stage, std::span<const int64_t> slots, int64_t grid) override {
    const emu::KernelInfo& k = static_cast<const CountedModule&>(m).info(stage);
    const int items = lanes_ * m.kernel().stages[stage].warps;
    std::vector<int64_t> arguments(slots.begin(), slots.end());
    emulator_->memory().add(arguments.data(), arguments.size() * 8, "kernel arguments", false, true);
    emu::Dispatch d;
    d.kernel_object = k.descriptor;
    d.kernarg = reinterpret_cast<std::uint64_t>(arguments.data());
    d.workgroup = {static_cast<std::uint16_t>(items), 1, 1};
    d.grid = {static_cast<std::uint32_t>(grid * items), 1, 1};
    d.group_bytes = k.group_bytes;
    d.private_bytes = k.private_bytes;
    d.name = k.name;
    const emu::Outcome outcome = emulator_->run(d);
    emulator_->memory().remove(arguments.data());
    if (!outcome.reports.empty()) throw Error(fmt::format("kernel '{}':\n{}", k.name, outcome.reports[0].text));
    if (!outcome.counters) throw InternalError(fmt::format("kernel '{}' ran without being counted", k.name));
    counts_->push_back({describe(m.kernel(), stage), outcome.counters});
  }
  void wait() override {}

 private:
  EmulatorPtr emulator_;
  std::shared_ptr<Counts> counts_;
  int lanes_;
};

class EmulatorDevice : public CountingDevice {
 public:
  explicit EmulatorDevice(const std::string& chip) : name_("counting:" + chip), target_(amdgpu_target(chip)) {
    emu::Options options;
    options.chip = emu::find_chip(chip);
    if (!options.chip) {
      std::string known;
      for (const emu::Chip& c : emu::chips()) known += fmt::format("{}{}", known.empty() ? "" : ", ", c.name);
      throw Error(fmt::format("the emulator has no chip '{}'; it has {}", chip, known));
    }
    options.counters = true;
    emulator_ = std::make_shared<emu::Emulator>(options);
  }
  const std::string& name() const override { return name_; }
  const Target& target() const override { return *target_; }
  int threads() const override { return 1; }
  bool host_memory() const override { return true; }
  BufferPtr allocate(size_t bytes) override { return std::make_shared<CountedBuffer>(emulator_, bytes); }
  void write(const Buffer& to, size_t offset, const void* from, size_t bytes) override {
    check_copy(to, offset, bytes);
    std::memcpy(static_cast<char*>(to.address()) + offset, from, bytes);
  }
  void read(void* to, const Buffer& from, size_t offset, size_t bytes) override {
    check_copy(from, offset, bytes);
    std::memcpy(to, static_cast<const char*>(from.address()) + offset, bytes);
  }
  ModulePtr load(CompiledKernel k) override { return std::make_shared<CountedModule>(std::move(k), emulator_); }
  std::unique_ptr<Queue> queue() override {
    return std::make_unique<CountedQueue>(emulator_, counts_, caps_of(*target_).lanes);
  }
  Counts take() override { return std::exchange(*counts_, {}); }

 private:
  std::string name_;
  TargetPtr target_;
  EmulatorPtr emulator_;
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
};

}  // namespace

std::shared_ptr<CountingDevice> counting_device(const std::string& chip) {
  return std::make_shared<EmulatorDevice>(chip);
}
bool can_count(const std::string& chip) { return emu::find_chip(chip) != nullptr; }

}  // namespace wavetile::bench
