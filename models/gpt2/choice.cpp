#include "models/gpt2/choice.h"

#include <algorithm>

#include "kernels/sampling.h"
#include "kernels/schedules.h"
#include "models/gpt2/views.h"

namespace wavetile {

using kernels::SamplingSettings;

Choice::Choice(DevicePtr device, std::shared_ptr<Queue> queue, Compiler& compiler, const Plan& plan, TensorView logits,
               TensorView next)
    : device_(std::move(device)),
      queue_(std::move(queue)),
      compiler_(compiler),
      plan_(plan),
      logits_(std::move(logits)),
      next_(std::move(next)),
      sampling_(static_cast<size_t>(next_.extents[0])),
      ids_(sampling_.size()) {}

void Choice::allocate() {
  if (seen_) return;
  const int64_t S = logits_.extents[0], V = logits_.extents[1];
  const auto elements = static_cast<size_t>(S * V);
  seen_ = device_->allocate(elements);
  adjusted_ = device_->allocate(4 * elements);
  weights_ = device_->allocate(4 * elements);
  // Settings of 32 bytes each, then two numbers a sequence.
  rows_ = device_->allocate(static_cast<size_t>(S) * (sizeof(SamplingSettings) + 8));
  real_ = rows_->view(DType::f32, {S, 8}, 0);
  real_.extents[1] = 4;
  whole_ = rows_->view(DType::i32, {S, 8}, 0);
  whole_.data = at(whole_, 4);
  whole_.extents[1] = 3;
  least_ = rows_->view(DType::f32, {S}, 8 * S);
  position_ = rows_->view(DType::i32, {S}, 9 * S);
  for (size_t s = 0; s < sampling_.size(); ++s) {
    const std::vector<int32_t> ids = std::move(ids_[s]);
    ids_[s].clear();
    read(ids, static_cast<int>(s));
    set(sampling_[s], static_cast<int>(s));
  }
}

void Choice::set(const Sampling& sampling, int sequence) {
  sampling_.at(static_cast<size_t>(sequence)) = sampling;
  if (!seen_ && sampling.greedy()) return;
  if (!seen_) return allocate();
  const SamplingSettings s{.temperature = sampling.temperature,
                           .top_p = sampling.top_p,
                           .min_p = sampling.min_p,
                           .penalty = sampling.repetition_penalty,
                           .top_k = sampling.top_k,
                           .seed = {static_cast<uint32_t>(sampling.seed), static_cast<uint32_t>(sampling.seed >> 32)}};
  device_->write(*rows_, static_cast<size_t>(sequence) * sizeof s, &s, sizeof s);
}

void Choice::read(std::span<const int32_t> ids, int sequence) {
  auto& known = ids_[static_cast<size_t>(sequence)];
  known.insert(known.end(), ids.begin(), ids.end());
  if (!seen_) return;
  const uint8_t yes = 1;
  for (int32_t id : ids) device_->write(*seen_, static_cast<size_t>(sequence * logits_.extents[1] + id), &yes, 1);
}

void Choice::forget(int sequence) {
  auto& known = ids_[static_cast<size_t>(sequence)];
  const uint8_t no = 0;
  if (seen_)
    for (int32_t id : known) device_->write(*seen_, static_cast<size_t>(sequence * logits_.extents[1] + id), &no, 1);
  known.clear();
}

void Choice::record_draws(Recorder& to, int first, int count) const {
  const int64_t S = logits_.extents[0], V = logits_.extents[1];
  auto part = [&](const TensorView& v) { return rows_of(v, first, count); };
  const TensorView logits = part(logits_), seen = part(seen_->view(DType::u8, {S, V}));
  const TensorView adjusted = part(adjusted_->view(DType::f32, {S, V}));
  const TensorView weights = part(weights_->view(DType::i32, {S, V}));
  const TensorView real = part(real_), whole = part(whole_), least = part(least_);
  const Schedule s = kernels::sampling_schedule(caps_of(device_->target()));
  to.call(kernels::adjust_logits(), {logits, seen, real, adjusted}, s, "adjust logits");
  to.call(kernels::weigh_tokens(), {adjusted, real, weights}, s, "weigh tokens");
  to.call(kernels::sampling_threshold(), {adjusted, real, whole, weights, least}, s, "threshold");
  to.call(kernels::draw_token(), {adjusted, least, real, whole, part(position_), part(next_)}, s, "draw token");
}

Program& Choice::program(int first, int count) {
  const bool greedy = std::all_of(sampling_.begin() + first, sampling_.begin() + first + count,
                                  [](const Sampling& s) { return s.greedy(); });
  const std::tuple key(!greedy, first, count);
  if (!programs_.contains(key)) {
    Recorder recorder(compiler_);
    if (greedy)
      plan_.record_greedy(recorder, rows_of(logits_, first, count), rows_of(next_, first, count));
    else
      record_draws(recorder, first, count);
    auto program = std::make_unique<Program>(device_, queue_);
    recorder.finish(*program);
    program->profile(profiling_);
    programs_[key] = std::move(program);
  }
  return *programs_[key];
}

void Choice::choose_after(Program& pass, int first, std::span<const int> positions) {
  if (seen_) {
    const std::vector<int32_t> p(positions.begin(), positions.end());
    const char* base = static_cast<const char*>(rows_->address());
    device_->write(*rows_, static_cast<size_t>(at(position_, first) - base), p.data(), 4 * p.size());
  }
  Program& p = program(first, static_cast<int>(positions.size()));
  if (verify_) p.verify_next_run();
  verify_ = false;
  pass.start();
  p.run();
}

void Choice::profile(bool on) {
  profiling_ = on;
  for (auto& [key, program] : programs_) program->profile(on);
}

std::vector<CallTimes> Choice::times() const {
  std::vector<CallTimes> all;
  for (const auto& [key, program] : programs_)
    for (const CallTimes& c : program->times()) all.push_back(c);
  return all;
}

size_t Choice::bytes() const {
  size_t n = 0;
  for (const BufferPtr& b : {seen_, adjusted_, weights_, rows_})
    if (b) n += b->bytes();
  return n;
}

}  // namespace wavetile
