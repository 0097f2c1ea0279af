#include "tools/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>

#include "checks/library.h"
#include "models/gpt2/golden.h"
#include "wavetile_version.h"

namespace wavetile::tools {
namespace {

using nlohmann::ordered_json;

double rounded(double x) { return std::round(x * 1e4) / 1e4; }

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

ordered_json describe_device(const DeviceInfo& d) {
  auto text = [](const std::string& s) { return s.empty() ? ordered_json(nullptr) : ordered_json(s); };
  return {{"name", d.name},     {"product", text(d.product)},     {"isa", text(d.isa)},
          {"target", d.target}, {"runtime", text(d.runtime)},     {"compute_units", d.compute_units},
          {"cpus", d.cpus},     {"memory_bytes", d.memory_bytes}, {"shares_memory", d.shares_memory}};
}

// A kernel that throws does not keep the others from being checked.
ordered_json check_kernel(const Machine& machine, const checks::NamedSubject& s, int variants) {
  const Stopwatch watch;
  std::vector<std::string> wrong;
  int cases = 0;
  try {
    wrong = differences(machine, s.subject, {.variants = variants, .cases = 2, .budget = 3000}, &cases);
  } catch (const std::exception& e) {
    wrong = {e.what()};
  }
  ordered_json j{{"name", s.name}, {"cases", cases}, {"passed", wrong.empty()}};
  if (!wrong.empty()) j["wrong"] = wrong;
  j["seconds"] = rounded(watch.seconds());
  return j;
}

double median(std::vector<double> v) {
  if (v.empty()) return 0;
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

ordered_json describe_calls(const std::vector<CallTimes>& calls) {
  ordered_json all = ordered_json::array();
  for (const CallTimes& c : calls) {
    if (c.calls == 0) continue;
    all.push_back({{"name", c.name},
                   {"calls", c.calls},
                   {"grid", c.grid},
                   {"block", c.block},
                   {"microseconds", rounded(c.seconds / c.calls * 1e6)},
                   {"gbytes_per_second", c.seconds > 0 ? rounded(c.work.bytes / c.seconds / 1e9) : 0},
                   {"device_clock", c.device_clock}});
  }
  return all;
}

// Tokens against the reference, then the time of a step, then the time of each kernel of some steps.
ordered_json check_model(const CheckOptions& o, const DevicePtr& device, DType dtype) {
  const Checkpoint checkpoint(o.model);
  const std::vector<GoldenPrompt> golden = read_golden(o.model);
  Model model(checkpoint, device, {.dtype = dtype});
  const GoldenResult r = follow_golden(model, golden, static_cast<size_t>(o.prompts), static_cast<size_t>(o.steps));
  ordered_json j{{"model", checkpoint.config().total_params()},
                 {"dtype", std::string(name_of(dtype))},
                 {"plan", std::string(name_of(model.options().plan))},
                 {"passed", r.failure.empty()},
                 {"prompts", r.prompts},
                 {"steps", r.steps},
                 {"same", r.same},
                 {"ties", r.ties},
                 {"worst_logit", r.worst_logit}};
  if (!r.failure.empty()) {
    j["wrong"] = {r.failure};
    return j;
  }
  const std::vector<int32_t>& prompt = golden.back().ids;
  model.reset();
  model.prepare(static_cast<int>(prompt.size()));
  const Stopwatch reading;
  model.read(prompt);
  j["prompt_tokens"] = prompt.size();
  j["prompt_ms"] = rounded(reading.seconds() * 1e3);
  std::vector<double> steps;
  for (int i = 0; i < std::max(2, o.steps / 2); ++i) {
    model.prepare_step();
    const Stopwatch step;
    model.step();
    steps.push_back(step.seconds());
  }
  j["ms_per_token"] = rounded(median(steps) * 1e3);
  j["bytes_per_token"] = model.bytes_a_step();
  model.profile(true);
  for (int i = 0; i < std::min(8, o.steps); ++i) model.step();
  j["decode_kernels"] = describe_calls(model.times());
  model.reset();
  model.read(prompt);
  j["prompt_kernels"] = describe_calls(model.prompt_times());
  return j;
}

bool passed(const ordered_json& j) { return j.at("passed").get<bool>(); }

}  // namespace

ordered_json check(const CheckOptions& o, const Note& note, const Save& save) {
  const Stopwatch watch;
  ordered_json report{{"format", kReportFormat}, {"wavetile", kVersion},       {"commit", kCommit},
                      {"passed", false},         {"finished", false},          {"seconds", 0},
                      {"seed", seed()},          {"system", describe_system()}};
  auto done = [&](const std::string& key, ordered_json value) {
    report[key] = std::move(value);
    report["seconds"] = rounded(watch.seconds());
    save(report);
  };
  DevicePtr device;
  try {
    // A kernel that takes longer than this hangs: none of these is large.
    device = Device::open(o.device, {.threads = 0, .level = {}, .patience = o.device == "hsa:emulated" ? 0.0 : 20.0});
  } catch (const Error& e) {
    done("error", e.what());
    done("diagnosis", Device::diagnose());
    return report;
  }
  done("device", describe_device(device->info()));
  note("copying\n");
  bool all = true;
  try {
    done("bandwidth", measure_bandwidth(device));
  } catch (const std::exception& e) {  // the kernels are to be looked at all the same
    done("bandwidth", {{"error", e.what()}});
    all = false;
  }

  const Machine machine{device->name(), TargetPtr(device, &device->target()), false, device};
  ordered_json kernels = ordered_json::array();
  auto library = checks::library();
  const std::regex wanted(o.kernels);
  std::erase_if(library, [&](const checks::NamedSubject& s) { return !std::regex_search(s.name, wanted); });
  for (const checks::NamedSubject& s : library) {
    note(fmt::format("kernel {} of {}: {} ... ", kernels.size() + 1, library.size(), s.name));
    kernels.push_back(check_kernel(machine, s, o.variants));
    all &= passed(kernels.back());
    note(passed(kernels.back()) ? "right\n" : "WRONG\n");
    done("kernels", kernels);
  }
  if (o.times) done("times", measure_kernels(device, o.kernels, note));
  ordered_json models = ordered_json::array();
  for (DType dtype : {DType::f32, DType::bf16}) {
    if (o.model.empty()) break;
    note(fmt::format("GPT-2 in {} ... ", name_of(dtype)));
    try {
      models.push_back(check_model(o, device, dtype));
    } catch (const std::exception& e) {
      models.push_back({{"dtype", std::string(name_of(dtype))}, {"passed", false}, {"wrong", {e.what()}}});
    }
    all &= passed(models.back());
    note(passed(models.back()) ? "right\n" : "WRONG\n");
    done("gpt2", models);
  }
  report["passed"] = all;
  done("finished", true);
  return report;
}

}  // namespace wavetile::tools
