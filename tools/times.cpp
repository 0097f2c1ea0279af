#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <regex>

#include "bench/report.h"
#include "models/gpt2/views.h"
#include "tools/check.h"

namespace wavetile::tools {
namespace {

using nlohmann::ordered_json;

constexpr int kRuns = 5;
constexpr bench::Rows kRows{64, 1};

double micro(double seconds) { return std::round(seconds * 1e10) / 1e4; }

// Seconds of the best run, by the device's clock where it has one.
double best_time(const bench::Sample& s, const DevicePtr& device, double& bytes) {
  const bench::Tensors tensors = bench::tensors_of(s, *device);
  bytes = s.bytes;
  if (bytes == 0)
    for (const TensorView& v : tensors.views) bytes += bytes_of(v);
  double best = std::numeric_limits<double>::infinity(), before = 0;
  Program p(device);
  p.add(device->load(compile(s.kernel, s.signature, s.schedule, device->target())), tensors.views);
  p.profile(true);
  for (int i = 0; i < kRuns; ++i) {
    p.run();
    const double all = p.times().at(0).seconds;
    best = std::min(best, all - before);
    before = all;
  }
  return best;
}

// The sum over the stages of a kernel.
ordered_json estimate_of(const std::string& name, const bench::Sample& s, const Target& target,
                         const std::shared_ptr<bench::CountingDevice>& counting) {
  if (!counting) return nullptr;
  double seconds = 0;
  ordered_json stages = ordered_json::array();
  for (const bench::StageReport& stage : bench::report_kernel(name, s, target, counting).stages) {
    if (!stage.estimate) return nullptr;
    const bench::Estimate& e = *stage.estimate;
    seconds += e.seconds();
    stages.push_back({{"bound", std::string(e.bound())},
                      {"memory", micro(e.memory)},
                      {"valu", micro(e.valu)},
                      {"lds", micro(e.lds)},
                      {"matrix", micro(e.matrix)},
                      {"latency", micro(e.latency)},
                      {"launch", micro(e.launch)}});
  }
  return {{"microseconds", micro(seconds)}, {"stages", stages}};
}

}  // namespace

ordered_json measure_kernels(const DevicePtr& device, const std::string& wanted, const Note& note) {
  const Caps& caps = caps_of(device->target());
  const auto counting = caps.name == bench::Rates{}.chip ? bench::counting_device(caps.name) : nullptr;
  const std::regex names(wanted);
  ordered_json all = ordered_json::array();
  for (DType weights : {DType::bf16, DType::f32})  // f32 has kernels without weights
    for (const auto& [kernel, sample] : bench::library(caps, weights, kRows)) {
      const std::string name = fmt::format("{} {}", kernel, name_of(weights));
      if (!std::regex_search(name, names)) continue;
      note(fmt::format("time of {} ... ", name));
      ordered_json j{{"name", name}};
      try {
        double bytes = 0;
        const double seconds = best_time(sample, device, bytes);
        j["microseconds"] = micro(seconds);
        j["bytes"] = bytes;
        j["gbytes_per_second"] = std::round(bytes / seconds / 1e6) / 1e3;
        j["estimate"] = estimate_of(name, sample, device->target(), counting);
        note(fmt::format("{:.1f} us\n", seconds * 1e6));
      } catch (const std::exception& e) {
        j["wrong"] = {e.what()};
        note("WRONG\n");
      }
      all.push_back(j);
    }
  return all;
}

}  // namespace wavetile::tools
