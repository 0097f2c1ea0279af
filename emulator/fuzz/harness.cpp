#include "emulator/fuzz/harness.h"

#include <cstring>

#include <fmt/format.h>

#include "emulator/fuzz/definitions.h"
#include "emulator/fuzz/operation.h"

namespace wavetile::fuzz {
namespace {

constexpr std::uint64_t kMostInstructions = 20'000'000;  // of a wave

std::string in_hex(const std::uint8_t* bytes, Type type) {
  std::string text_of;
  const int n = (type.bits() + 7) / 8;
  for (int i = 0; i < type.lanes; ++i) {
    std::uint64_t v = 0;
    std::memcpy(&v, bytes + i * n, static_cast<std::size_t>(n));
    text_of += fmt::format("{}{:0{}x}", i ? " " : "", v, 2 * n);
  }
  return text_of;
}

bool same(const std::uint8_t* a, const std::uint8_t* b, Type type) {
  const int n = (type.bits() + 7) / 8;
  for (int i = 0; i < type.lanes; ++i) {
    std::uint64_t x = 0, y = 0;
    std::memcpy(&x, a + i * n, static_cast<std::size_t>(n));
    std::memcpy(&y, b + i * n, static_cast<std::size_t>(n));
    if (x != y && !(is_nan(type.kind, x) && is_nan(type.kind, y))) return false;
  }
  return true;
}

std::string byte_difference(const char* what, const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i]) {
      const std::size_t word = i / 4 * 4;
      const Type i32{Kind::i32, 1};
      return fmt::format("{}, byte {} (of work-item {}: byte {}): expected {}, got {}", what, i, i / kOwnBytes,
                         i % kOwnBytes, in_hex(&a[word], i32), in_hex(&b[word], i32));
    }
  return "";
}

}  // namespace

IrEffort effort(int level) {
  constexpr IrEffort levels[] = {{0, 0}, {0, 2}, {2, 2}, {3, 3}};
  return levels[level];
}

class Harness::Kernels {
 public:
  Kernels(emu::Emulator& emulator, const std::vector<char>& file) : emulator(emulator) {
    object = emulator.load({reinterpret_cast<const std::byte*>(file.data()), file.size()}, "programs");
  }
  ~Kernels() { emulator.unload(object); }
  Kernels(const Kernels&) = delete;
  Kernels& operator=(const Kernels&) = delete;
  emu::Emulator& emulator;
  std::shared_ptr<emu::CodeObject> object;
};

emu::Emulator& Harness::emulator(const std::string& chip) {
  auto& e = emulators_[chip];
  if (!e) {
    emu::Options options;
    options.chip = emu::find_chip(chip);
    options.threads = 1;
    options.checks = checks_;
    options.max_instructions = kMostInstructions;
    e = std::make_unique<emu::Emulator>(options);
  }
  return *e;
}

void Harness::prepare(const std::vector<const Program*>& programs, int level) {
  static const std::vector<HostSymbol> symbols = [] {
    std::vector<HostSymbol> s;
    for (const Definition& d : definitions()) s.push_back({d.name, d.address});
    return s;
  }();
  host_ = compile_host(write(programs, Side::host), symbols, effort(level));
}

Result Harness::expected(const Program& p, const Data& data, const Configuration& on) {
  const bool half_permute = on.lanes == 64 && emu::find_chip(on.chip)->family == emu::Family::rdna3;
  return reference_.run(reinterpret_cast<HostFunction>(host_->symbol(function_name(p))), p, data, on.lanes,
                        half_permute);
}

std::shared_ptr<Harness::Kernels> Harness::compile(const std::vector<const Program*>& programs, const Configuration& on,
                                                   int level) {
  return std::make_shared<Kernels>(emulator(on.chip),
                                   compile_code_object(write(programs, Side::amd), on.chip, on.lanes, effort(level)));
}

Harness::Run Harness::run(Kernels& kernels, const Program& p, const Data& data) {
  Run r;
  r.result = {std::vector<std::uint8_t>(std::size_t{kItems} * kOutputBytes), data.own, data.shared};
  emu::Memory& memory = kernels.emulator.memory();
  std::vector<const void*> added;
  std::vector<std::uint8_t> arguments;
  auto add = [&](const std::vector<std::uint8_t>& bytes, const char* what, bool writable, bool pointer) {
    memory.add(bytes.data(), bytes.size(), what, writable, true);
    added.push_back(bytes.data());
    const auto address = reinterpret_cast<std::uint64_t>(bytes.data());
    for (int i = 0; pointer && i < 8; ++i) arguments.push_back(static_cast<std::uint8_t>(address >> 8 * i));
  };
  arguments.reserve(5 * 8 + 8 * kScalars);
  add(data.input, "input", false, true);
  add(data.uniform, "uniform", false, true);
  add(r.result.own, "own", true, true);
  add(r.result.shared, "shared", true, true);
  add(r.result.out, "out", true, true);
  const auto scalars = scalar_arguments(p);
  arguments.insert(arguments.end(), scalars.begin(), scalars.end());
  add(arguments, "kernel arguments", false, false);

  const emu::KernelInfo* kernel = kernels.object->find_kernel(function_name(p));
  if (!kernel) {
    r.problem = "the code object lacks the kernel";
  } else {
    emu::Dispatch d;
    d.kernel_object = kernel->descriptor;
    d.kernarg = reinterpret_cast<std::uint64_t>(arguments.data());
    d.grid = {kItems, 1, 1};
    d.workgroup = {kGroupItems, 1, 1};
    d.private_bytes = kernel->private_bytes;
    d.group_bytes = kernel->group_bytes;
    const emu::Outcome outcome = kernels.emulator.run(d);
    r.instructions = outcome.instructions;
    for (const emu::Report& report : outcome.reports) r.problem += report.text + "\n";
    if (r.problem.empty() && !outcome.completed) r.problem = "it did not complete, without a report";
  }
  for (const void* a : added) memory.remove(a);
  return r;
}

std::string difference(const Program& p, const Result& expected, const Result& got) {
  for (const Datum& d : p.output)
    for (int item = 0; item < kItems; ++item) {
      const auto at = static_cast<std::size_t>(item * kOutputBytes + d.offset);
      if (!same(&expected.out[at], &got.out[at], d.type))
        return fmt::format("work-item {} of group {}, {} at {}: expected {}, got {}", item % kGroupItems,
                           item / kGroupItems, text(d.type), d.offset, in_hex(&expected.out[at], d.type),
                           in_hex(&got.out[at], d.type));
    }
  std::string words = byte_difference("own memory", expected.own, got.own);
  return words.empty() ? byte_difference("shared memory", expected.shared, got.shared) : words;
}

}  // namespace wavetile::fuzz
