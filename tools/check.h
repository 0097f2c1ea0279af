// `wavetile check`: what a machine's device computes and how fast, as one report to send.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "runtime/device.h"

namespace wavetile::tools {

struct CheckOptions {
  std::string device = "hsa";
  std::string model;         // of GPT-2, a directory with golden.json in it; empty: GPT-2 is left out
  std::string kernels = {};  // those whose names have a match of this regular expression; empty: all
  bool times = true;         // each kernel at GPT-2 124M's shapes
  int variants = 3;          // of each kernel: schedules and layouts of memory, two random cases each
  int steps = 48;            // of each prompt of the model
  int prompts = 4;           // of the model
};

/// What stands in the report's "format": it changes when a field changes its meaning.
inline constexpr int kReportFormat = 1;

using Note = std::function<void(const std::string&)>;             // progress, a line or a part of one
using Save = std::function<void(const nlohmann::ordered_json&)>;  // the report so far: a fault may end the process

/// Runs everything. The report's "passed" says whether all went well; fields: docs/hsa.md. A device that cannot be
/// opened gives a report with "error" and "diagnosis".
nlohmann::ordered_json check(const CheckOptions& options, const Note& note, const Save& save);
/// A finished report as a table.
std::string summary(const nlohmann::ordered_json& report);

/// Kernel, driver, processor: what the system says of itself. `root`: of its file system.
nlohmann::ordered_json describe_system(const std::string& root = "");
/// GB/s of copies: host_to_device, device_to_host, device_to_device (by the library's copy kernel), and where the two
/// share memory host_memory, the same kernel reading what the host allocated.
nlohmann::ordered_json measure_bandwidth(const DevicePtr& device);

/// Of each kernel of the library at GPT-2 124M's shapes: microseconds of its best run, and where the device is the
/// chip that there are rates for, the estimate of bench/estimate.h, each term of it. It never fails: a kernel that does
/// not run has "wrong".
nlohmann::ordered_json measure_kernels(const DevicePtr& device, const std::string& wanted, const Note& note);

}  // namespace wavetile::tools
