#include "runtime/program.h"

#include <algorithm>
#include <bit>
#include <chrono>

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
                  const std::string& label, Work work) {
  const CompiledKernel& k = m->kernel();
  check_signature(k, tensors);
  std::vector<TensorView> checked = tensors;  // packed tensors: by their elements, wherever those lie
  for (size_t i = 0; i < tensors.size(); ++i)
    if (k.schedule.packing.contains(k.graph.tensors[i].name)) checked[i].strides = row_major(checked[i].extents);
  check_launch(k.graph, checked, scalars);
  std::vector<TensorView> all = tensors;
  const Graph& last = k.stages.back().graph;
  for (const Workspace& w : k.workspaces) {
    std::vector<int64_t> extents{w.parts};
    int64_t elements = w.parts;
    for (RangeId r : w.axes) {
      extents.push_back(extent_of(last, r, tensors, scalars));
      elements *= extents.back();
    }
    workspaces_.push_back(device_->allocate(static_cast<size_t>(std::max<int64_t>(elements, 1) * size_of(w.dtype))));
    all.push_back(workspaces_.back()->view(w.dtype, extents));
  }
  for (size_t stage = 0; stage < k.stages.size(); ++stage) {
    const Stage& s = k.stages[stage];
    Launch l{m, stage, {}, grid_of(s, all, scalars), label.empty() ? k.name : label, stage == 0 ? work : Work{}, 0, 0};
    for (const TensorView& t : all) {
      l.slots.push_back(static_cast<int64_t>(reinterpret_cast<intptr_t>(t.data)));
      l.slots.insert(l.slots.end(), t.extents.begin(), t.extents.end());
      l.slots.insert(l.slots.end(), t.strides.begin(), t.strides.end());
    }
    for (size_t i = 0; i < scalars.size(); ++i) {
      bool real = s.graph.scalars[i].dtype == DType::f32;
      l.slots.push_back(real ? std::bit_cast<int32_t>(static_cast<float>(scalars[i]))
                             : static_cast<int64_t>(scalars[i]));
    }
    launches_.push_back(std::move(l));
  }
}

void Program::run() {
  using clock = std::chrono::steady_clock;
  for (Launch& l : launches_) {
    if (l.grid == 0) continue;
    if (!profiling_) {
      queue_->launch(*l.module, l.stage, l.slots, l.grid);
      continue;
    }
    auto start = clock::now();
    queue_->launch(*l.module, l.stage, l.slots, l.grid);
    queue_->wait();
    l.seconds += std::chrono::duration<double>(clock::now() - start).count();
    ++l.runs;
  }
  queue_->wait();
}

std::vector<CallTimes> Program::times() const {
  std::vector<CallTimes> all;
  for (const Launch& l : launches_) {
    auto it = std::find_if(all.begin(), all.end(), [&](const CallTimes& c) { return c.name == l.label; });
    if (it == all.end()) it = all.insert(all.end(), CallTimes{l.label, 0, 0, {}, l.grid});
    it->calls += l.runs;
    it->seconds += l.seconds;
    it->work.bytes += l.work.bytes * l.runs;
    it->work.flops += l.work.flops * l.runs;
  }
  return all;
}

}  // namespace wavetile
