// What wavetile-report gathers: each kernel of the library on each chip, and whole passes of GPT-2 on gfx1151.
// Everything that the emulator counts is exact; every time is an estimate (bench/estimate.h).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/counting_device.h"
#include "bench/estimate.h"
#include "bench/library.h"
#include "models/gpt2/model.h"

namespace wavetile::bench {

/// What LLVM says of one kernel of a code object. Bytes of LDS are those of a workgroup, of scratch those of a lane.
struct Resources {
  int vgprs = 0, sgprs = 0, lds_bytes = 0, scratch_bytes = 0, spilled_vgprs = 0, spilled_sgprs = 0;
};
/// @throws Error where the assembly's metadata has no such kernel.
Resources resources_of(const std::string& assembly, const std::string& symbol);

/// The tensors of a sample whose extents are all known, filled with numbers.
struct Tensors {
  std::vector<BufferPtr> buffers;
  std::vector<TensorView> views;
};
Tensors tensors_of(const Sample& s, Device& device);

struct StageReport {
  std::string symbol;
  Resources resources;
  std::shared_ptr<const emu::Counters> counters;  // none: the emulator does not have the chip
  std::optional<Estimate> estimate;               // of gfx1151
};
struct KernelReport {
  std::string name, chip;
  double least_bytes = 0;           // that a launch has to move
  std::vector<StageReport> stages;  // in the order in which they run
  std::string refusal;              // why it does not compile; empty: it does
};
/// Compiles a sample whose extents are all known and, where `device` is given, runs it once.
KernelReport report_kernel(const std::string& name, const Sample& sample, const Target& target,
                           const std::shared_ptr<CountingDevice>& device);

/// One launch of a pass.
struct LaunchReport {
  std::string what;  // the kernel, and the extents of its largest tensor
  std::shared_ptr<const emu::Counters> counters;
  Estimate estimate;
};
struct PassReport {
  std::string name;
  int positions = 0;       // that the sequence has afterwards
  double least_bytes = 0;  // weights and cache, each once
  std::vector<LaunchReport> launches;

  double seconds() const;        // estimated
  double bytes_read() const;     // distinct cache lines, counted once a launch
  double bytes_touched() const;  // lines of all vector accesses, those that caches serve with them
  std::uint64_t conflict_cycles() const;
  MultiplyAdds products() const;
};

/// GPT-2's fused plan on the emulated gfx1151.
class StepReporter {
 public:
  /// With `tiles` every tile that a schedule gives is that long, blocks have one warp, and nothing is split or shared
  /// out: a first implementation, to compare with. 0: the library's schedules.
  StepReporter(const Checkpoint& checkpoint, DType dtype, int tiles = 0);
  /// The step that reads the token at `position` (from 0). The cache before it holds zeros: no counter depends on what
  /// it holds.
  PassReport decode(int position);
  /// One pass over a prompt of so many tokens.
  PassReport prefill(int tokens);

 private:
  PassReport run(const std::string& name, int rows, int position);

  Config config_;
  int tiles_;
  std::shared_ptr<CountingDevice> device_;
  Weights weights_;
  Compiler compiler_;
};

}  // namespace wavetile::bench
