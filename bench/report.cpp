#include "bench/report.h"

#include <algorithm>
#include <charconv>
#include <random>
#include <regex>

#include <fmt/format.h>

#include "kernels/schedules.h"
#include "models/gpt2/views.h"

namespace wavetile::bench {
namespace {

int number_after(const std::string& text, const std::string& key) {
  const auto at = text.find(key);
  if (at == std::string::npos) throw Error(fmt::format("the metadata of a kernel lacks '{}'", key));
  const auto digit = text.find_first_not_of(' ', at + key.size());
  int n = 0;
  const auto [end, error] = std::from_chars(text.data() + digit, text.data() + text.size(), n);
  if (error != std::errc()) throw Error(fmt::format("the metadata of a kernel: '{}' is no number", key));
  return n;
}

// Elements from the first to the last one, and one more.
int64_t span_of(const TensorView& t, const Packing* packing) {
  if (packing) return packed_elements(t.extents, *packing);
  int64_t last = 0;
  for (size_t d = 0; d < t.extents.size(); ++d) last += (t.extents[d] - 1) * t.strides[d];
  return last + 1;
}

void fill(Device& device, const Buffer& buffer, DType t, int64_t integers) {
  const auto n = buffer.bytes() / static_cast<size_t>(size_of(t));
  std::mt19937 random(1);
  std::uniform_real_distribution<float> some(0.25, 1);  // as activations, weights and settings of sampling can be
  std::vector<char> bytes(buffer.bytes());
  for (size_t i = 0; i < n; ++i) {
    char* to = bytes.data() + i * static_cast<size_t>(size_of(t));
    const float x = is_float(t) ? some(random) : 0;
    const uint16_t half = t == DType::bf16 ? to_bf16(x) : to_f16(x);
    const auto whole = static_cast<int32_t>(integers);
    if (t == DType::f32) std::memcpy(to, &x, 4);
    if (t == DType::bf16 || t == DType::f16) std::memcpy(to, &half, 2);
    if (t == DType::i32) std::memcpy(to, &whole, 4);
  }
  device.write(buffer, 0, bytes.data(), bytes.size());
}

std::optional<Estimate> estimate_where_known(const emu::Counters& c) {
  if (c.chip != Rates{}.chip) return {};
  return estimate(c);
}

}  // namespace

Tensors tensors_of(const Sample& s, Device& device) {
  Tensors all;
  for (size_t i = 0; i < s.signature.size(); ++i) {
    const TensorSpec& spec = s.signature[i];
    TensorView v{spec.dtype, nullptr, {}, {}};
    for (auto e : spec.extents) v.extents.push_back(e.value());
    const auto packing = s.schedule.packing.find(s.kernel.graph().tensors[i].name);
    const Packing* p = packing == s.schedule.packing.end() ? nullptr : &packing->second;
    if (p)
      v.strides = packed_strides(v.extents, *p);
    else
      for (auto e : spec.strides) v.strides.push_back(e.value());
    all.buffers.push_back(device.allocate(static_cast<size_t>(span_of(v, p) * size_of(v.dtype))));
    fill(device, *all.buffers.back(), v.dtype, s.integers);
    v.data = all.buffers.back()->address();
    all.views.push_back(v);
  }
  return all;
}

Resources resources_of(const std::string& assembly, const std::string& symbol) {
  // A kernel's entry runs from the dash that begins it to the next one.
  const auto list = assembly.find("amdhsa.kernels:");
  for (auto at = assembly.find("\n  - ", list); list != std::string::npos && at != std::string::npos;) {
    const auto next = assembly.find("\n  - ", at + 1);
    const std::string entry = assembly.substr(at, next == std::string::npos ? next : next - at);
    if (std::regex_search(
            entry, std::regex("\\n    \\.name: +'?" + std::regex_replace(symbol, std::regex("\\."), "\\.") + "'?\\n")))
      return {number_after(entry, ".vgpr_count:"),
              number_after(entry, ".sgpr_count:"),
              number_after(entry, ".group_segment_fixed_size:"),
              number_after(entry, ".private_segment_fixed_size:"),
              number_after(entry, ".vgpr_spill_count:"),
              number_after(entry, ".sgpr_spill_count:")};
    at = next;
  }
  throw Error(fmt::format("the metadata has no kernel '{}'", symbol));
}

KernelReport report_kernel(const std::string& name, const Sample& sample, const Target& target,
                           const std::shared_ptr<CountingDevice>& device) {
  KernelReport r{name, caps_of(target).name, sample.bytes, {}, {}};
  CompiledKernel k;
  try {
    const std::string assembly = assembly_of(sample.kernel.graph(), sample.signature, sample.schedule, target);
    k = compile(sample.kernel, sample.signature, sample.schedule, target);
    for (const Stage& s : k.stages) r.stages.push_back({s.symbol, resources_of(assembly, s.symbol), nullptr, {}});
  } catch (const Error& e) {
    r.refusal = e.what();
    return r;
  }
  if (!device) return r;
  const Tensors tensors = tensors_of(sample, *device);
  if (r.least_bytes == 0)
    for (const TensorView& v : tensors.views) r.least_bytes += bytes_of(v);
  Program program(device);
  program.add(device->load(std::move(k)), tensors.views);
  program.run();
  const auto counters = device->take();
  if (counters.size() != r.stages.size())
    throw InternalError(
        fmt::format("kernel '{}' has {} stages, and {} launches were counted", name, r.stages.size(), counters.size()));
  for (size_t i = 0; i < counters.size(); ++i) {
    r.stages[i].counters = counters[i].counters;
    r.stages[i].estimate = estimate_where_known(*counters[i].counters);
  }
  return r;
}

double PassReport::seconds() const {
  double s = 0;
  for (const LaunchReport& l : launches) s += l.estimate.seconds();
  return s;
}
double PassReport::bytes_read() const {
  double b = 0;
  for (const LaunchReport& l : launches)
    b += static_cast<double>(l.counters->distinct_lines_read) * l.counters->line_bytes;
  return b;
}
double PassReport::bytes_touched() const {
  double b = 0;
  for (const LaunchReport& l : launches) b += static_cast<double>(l.counters->lines_touched) * l.counters->line_bytes;
  return b;
}
std::uint64_t PassReport::conflict_cycles() const {
  std::uint64_t n = 0;
  for (const LaunchReport& l : launches) n += l.counters->lds_conflict_cycles;
  return n;
}
MultiplyAdds PassReport::products() const {
  MultiplyAdds all;
  for (const LaunchReport& l : launches) {
    const MultiplyAdds m = multiply_adds(*l.counters);
    all.matrix += m.matrix;
    all.vector += m.vector;
  }
  return all;
}

StepReporter::StepReporter(const Checkpoint& checkpoint, DType dtype, int tiles)
    : config_(checkpoint.config()),
      tiles_(tiles),
      device_(counting_device(std::string(Rates{}.chip))),
      weights_(load_weights(checkpoint, *device_, dtype)),
      compiler_(device_) {}

PassReport StepReporter::decode(int position) { return run("decode", 1, position); }
PassReport StepReporter::prefill(int tokens) { return run("prefill", tokens, 0); }

PassReport StepReporter::run(const std::string& name, int rows, int position) {
  const int positions = position + rows;
  if (rows < 1 || position < 0 || positions > config_.max_seq_len)
    throw Error(fmt::format("{} positions; the model has 1 to {}", positions, config_.max_seq_len));
  const auto plan = make_fused_plan(config_, weights_, caps_of(device_->target()));
  const BufferPtr scratch = device_->allocate(plan->scratch_bytes(rows, 1));
  plan->set_scratch(scratch, rows, 1);
  const Cache layout = plan->cache_layout(1, config_.max_seq_len);
  std::vector<BufferPtr> buffers{device_->allocate(static_cast<size_t>(config_.vocab_size) * 4),
                                 device_->allocate(static_cast<size_t>(rows + 32) * 4)};
  Pass pass;
  pass.rows = rows;
  pass.any_rows = rows > 1;
  pass.keys = config_.max_seq_len;
  pass.logits = buffers[0]->view(DType::f32, {1, config_.vocab_size});
  pass.start = buffers[1]->view(DType::i32, {1});
  const TensorView next = buffers[1]->view(DType::i32, {1}, 16);
  pass.ids = buffers[1]->view(DType::i32, {rows}, 32);
  const int32_t start = position;
  device_->write(*buffers[1], 0, &start, 4);
  for (int l = 0; l < config_.num_layers; ++l) {
    Cache c = layout;
    for (TensorView* t : {&c.k, &c.v}) {
      buffers.push_back(device_->allocate(static_cast<size_t>(t->strides[0] * size_of(t->dtype))));
      t->data = buffers.back()->address();
    }
    pass.caches.push_back(c);
  }
  auto plain = [this](Schedule s) {
    for (auto& [range, tile] : s.tile)
      if (tile > 1) tile = tiles_;
    s.warps = 1;
    s.share.clear();
    s.split.clear();
    return s;
  };
  Recorder recorder(compiler_, tiles_ > 0 ? std::function<Schedule(const Schedule&)>(plain) : nullptr);
  plan->record(recorder, pass);
  plan->record_greedy(recorder, pass.logits, next);
  Program program(device_);
  recorder.finish(program);
  device_->take();
  program.run();
  PassReport r{name, positions, 0, {}};
  r.least_bytes = static_cast<double>(weights_.bytes_a_token) +
                  2.0 * config_.num_layers * config_.channels * size_of(layout.k.dtype) * positions;
  for (CountedLaunch& l : device_->take()) r.launches.push_back({l.what, l.counters, estimate(*l.counters)});
  if (r.launches.size() != program.launches())
    throw InternalError(
        fmt::format("{} launches were recorded, and {} counted", program.launches(), r.launches.size()));
  return r;
}

}  // namespace wavetile::bench
