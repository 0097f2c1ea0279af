#include "runtime/program.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "dsl/check.h"

namespace wavetile {
namespace {

// A compiled kernel never sees tensors that it was not compiled for.
void check_signature(const CompiledKernel& k, const std::vector<TensorView>& tensors) {
  if (tensors.size() != k.signature.size())
    throw Error(
        fmt::format("kernel '{}' takes {} tensors and is given {}", k.name, k.signature.size(), tensors.size()));
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorSpec& s = k.signature[i];
    const TensorView& t = tensors[i];
    const std::string& name = k.stages[0].graph.tensors[i].name;
    if (s.dtype != t.dtype)
      throw Error(fmt::format("kernel '{}' was compiled for {} in tensor '{}' and is given {}", k.name,
                              name_of(s.dtype), name, name_of(t.dtype)));
    auto same = [&](std::string_view what, const auto& expected, const std::vector<int64_t>& given) {
      if (expected.size() != given.size())
        throw Error(fmt::format("kernel '{}' was compiled for {} dimensions of tensor '{}' and is given {}", k.name,
                                expected.size(), name, given.size()));
      for (size_t d = 0; d < given.size(); ++d)
        if (expected[d] && *expected[d] != given[d])
          throw Error(fmt::format(
              "kernel '{}' was compiled for {} {} in dimension {} of tensor '{}' and is given {}; compile it "
              "for that, or leave the {} out of its signature",
              k.name, what, *expected[d], d, name, given[d], what));
    };
    same("extent", s.extents, t.extents);
    same("stride", s.strides, t.strides);
    if (s.alignment > 1 && reinterpret_cast<uintptr_t>(t.data) % static_cast<uintptr_t>(s.alignment))
      throw Error(fmt::format("kernel '{}' was compiled for addresses that are multiples of {} in tensor '{}'", k.name,
                              s.alignment, name));
  }
}

}  // namespace

void Program::add(const ModulePtr& m, const std::vector<TensorView>& tensors, const std::vector<double>& scalars,
                  const std::string& label, std::function<Work()> work) {
  const CompiledKernel& k = m->kernel();
  check_signature(k, tensors);
  std::vector<TensorView> checked = tensors;  // packed tensors: by their elements, wherever those lie
  for (size_t i = 0; i < tensors.size(); ++i)
    if (k.schedule.packing.contains(k.graph.tensors[i].name)) checked[i].strides = row_major(checked[i].extents);
  check_launch(k.graph, checked, scalars);
  Call call{m, tensors, scalars, label.empty() ? k.name : label, std::move(work), {}, {}, {}};
  Hazards hazards = hazards_;
  std::vector<TensorView> all = tensors;
  const Graph& last = k.stages.back().graph;
  for (const Workspace& w : k.workspaces) {
    std::vector<int64_t> extents{w.parts};
    int64_t elements = w.parts;
    for (RangeId r : w.axes) {
      extents.push_back(extent_of(last, r, tensors, scalars));
      elements *= extents.back();
    }
    call.workspaces.push_back(device_->allocate(static_cast<size_t>(elements * size_of(w.dtype))));
    all.push_back(call.workspaces.back()->view(w.dtype, extents));
  }
  for (size_t stage = 0; stage < k.stages.size(); ++stage) {
    const Stage& s = k.stages[stage];
    Launch l{m.get(), stage, arguments_of(s, all, scalars), grid_of(s, all, scalars)};
    call.times.grid = std::max(call.times.grid, l.grid);
    call.times.block = caps_of(device_->target()).lanes * k.schedule.warps;
    if (l.grid <= 0) continue;
    l.waits = hazards.waits(touched_by(s, all, k.schedule));
    call.stages.push_back(std::move(l));
  }
  calls_.push_back(std::move(call));
  hazards_ = std::move(hazards);
  recording_.reset();
}

size_t Program::launches() const {
  size_t n = 0;
  for (const Call& c : calls_) n += c.stages.size();
  return n;
}

void Program::record() {
  if (recording_) return;
  std::vector<Launch> all;
  for (const Call& c : calls_) all.insert(all.end(), c.stages.begin(), c.stages.end());
  recording_ = queue_->record(std::move(all));
}

void Program::run() {
  start();
  queue_->wait();
}

void Program::start() {
  std::optional<VerifyOptions> verify = std::exchange(verify_, std::nullopt);
  if (verify && !device_->host_memory())
    throw Error(fmt::format("the kernels of device '{}' cannot be checked while they run: its memory is not the host's",
                            device_->name()));
  if (profiling_) queue_->wait();  // what others started is not this program's
  const bool by_device = profiling_ && queue_->time_launches(true);
  struct Untimed {  // also where a launch fails
    Queue* queue;
    ~Untimed() {
      try {
        if (queue) queue->time_launches(false);
      } catch (const Error&) {  // a device that failed says so at the next launch
      }
    }
  } untimed{by_device ? queue_.get() : nullptr};
  if (verify || (profiling_ && !by_device)) {
    run_call_by_call(profiling_ && !by_device, verify);
  } else {
    record();
    recording_->run();
  }
  if (by_device) add_device_times();
}

void Program::run_call_by_call(bool by_host, std::optional<VerifyOptions> verify) {
  using clock = std::chrono::steady_clock;
  for (Call& c : calls_) {
    std::optional<CallCheck> check;
    if (verify) {
      queue_->wait();
      check.emplace(c.module->kernel(), c.tensors, c.scalars, *verify);
      ++verify->seed;
    }
    auto start = clock::now();
    for (const Launch& l : c.stages) queue_->launch(*l.module, l.stage, l.slots, l.grid);
    queue_->wait();
    if (by_host) add_time(c, std::chrono::duration<double>(clock::now() - start).count());
    if (check) check->compare(c.label);
  }
}

void Program::add_device_times() {
  queue_->wait();
  const std::vector<double> seconds = queue_->take_times();
  if (seconds.size() != launches())
    throw InternalError(fmt::format("program: {} launches, {} times", launches(), seconds.size()));
  auto next = seconds.begin();
  for (Call& c : calls_) {
    const auto end = next + static_cast<std::ptrdiff_t>(c.stages.size());
    add_time(c, std::accumulate(next, end, 0.0));
    c.times.device_clock = true;
    next = end;
  }
}

void Program::add_time(Call& c, double seconds) {
  c.times.seconds += seconds;
  const Work work = c.work ? c.work() : Work{};
  c.times.work.bytes += work.bytes;
  c.times.work.flops += work.flops;
  ++c.times.calls;
}

std::vector<CallTimes> Program::times() const {
  std::vector<CallTimes> all;
  for (const Call& c : calls_) {
    auto it = std::find_if(all.begin(), all.end(), [&](const CallTimes& t) { return t.name == c.label; });
    if (it == all.end())
      it = all.insert(all.end(), CallTimes{.name = c.label, .work = {}, .grid = c.times.grid, .block = c.times.block});
    it->calls += c.times.calls;
    it->seconds += c.times.seconds;
    it->device_clock |= c.times.device_clock;
    it->work.bytes += c.times.work.bytes;
    it->work.flops += c.times.work.flops;
  }
  return all;
}

}  // namespace wavetile
