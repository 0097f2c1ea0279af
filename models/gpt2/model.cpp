#include "models/gpt2/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <numeric>

#include "kernels/sampling.h"
#include "kernels/schedules.h"
#include "models/gpt2/views.h"

namespace wavetile {
namespace {

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

size_t cache_span(const TensorView& v) { return static_cast<size_t>(v.extents[0] * v.strides[0] * size_of(v.dtype)); }

}  // namespace

Model::Model(const Checkpoint& checkpoint, DevicePtr device, ModelOptions options)
    : config_(checkpoint.config()),
      device_(std::move(device)),
      queue_(device_->queue()),
      options_(std::move(options)),
      compiler_(std::make_unique<Compiler>(device_, options_.dump, options_.kernels)) {
  if (options_.context == 0) options_.context = config_.max_seq_len;
  if (options_.context < 1 || options_.context > config_.max_seq_len)
    throw Error(fmt::format("a context of {} positions; the model has 1 to {}", options_.context, config_.max_seq_len));
  positions_.assign(static_cast<size_t>(options_.sequences), 0);
  ids_.resize(positions_.size());
  auto start = std::chrono::steady_clock::now();
  weights_ = load_weights(checkpoint, *device_, options_.dtype, options_.progress);
  allocate();
  options_.progress = {};  // it was that of loading
  load_seconds_ = since(start);
  if (options_.cache)
    decode(1);
  else
    prepare(options_.context);
  start = std::chrono::steady_clock::now();
  choice_->prepare(0, options_.sequences);
  compile_seconds_ += since(start);
}

void Model::allocate() {
  const int64_t S = options_.sequences, T = options_.context, V = config_.vocab_size, small = (S + 15) / 16 * 16;
  small_ = device_->allocate(static_cast<size_t>(3 * small + T) * 4);
  start_ = small_->view(DType::i32, {S}, 0);
  last_ = small_->view(DType::i32, {S}, small);
  next_ = small_->view(DType::i32, {S}, 2 * small);
  prompt_ = small_->view(DType::i32, {T}, 3 * small);
  logits_buffer_ = touched(static_cast<size_t>(S * V) * 4);
  logits_ = logits_buffer_->view(DType::f32, {S, V});
  make_room(steps_, options_.sequences);
  choice_ = std::make_unique<Choice>(device_, queue_, *compiler_, *steps_.plan, logits_, next_);
  if (!options_.cache && options_.plan == PlanKind::unfused) return;  // keys go straight from op to op
  const Cache layout = steps_.plan->cache_layout(options_.sequences, options_.context);
  const size_t k = (cache_span(layout.k) + 63) / 64 * 64, v = (cache_span(layout.v) + 63) / 64 * 64;
  cache_buffer_ = touched(static_cast<size_t>(config_.num_layers) * (k + v));
  for (size_t l = 0; l < static_cast<size_t>(config_.num_layers); ++l) {
    Cache c = layout;
    c.k.data = static_cast<char*>(cache_buffer_->address()) + l * (k + v);
    c.v.data = static_cast<char*>(c.k.data) + k;
    caches_.push_back(c);
  }
}

// Pages come into being when they are first written: here, so that neither a prompt nor a step waits for the system.
BufferPtr Model::touched(size_t bytes) {
  BufferPtr buffer = device_->allocate(bytes);
  const std::vector<char> zeros(size_t{1} << 20);
  for (size_t done = 0; done < bytes; done += zeros.size())
    device_->write(*buffer, done, zeros.data(), std::min(zeros.size(), bytes - done));
  return buffer;
}

void Model::make_room(Passes& passes, int rows) {
  if (passes.rows >= rows) return;
  passes.plan = make_plan(options_.plan, config_, weights_, caps_of(device_->target()));
  passes.scratch = touched(passes.plan->scratch_bytes(rows, options_.sequences));
  passes.plan->set_scratch(passes.scratch, rows, options_.sequences);
  passes.rows = rows;
}

Pass Model::pass(int rows, int sequence, int count, int positions) const {
  Pass p;
  p.sequences = count;
  p.rows = rows;
  // The unfused plan computes attention over all the keys that it is given: few sizes, so that few kernels are
  // compiled.
  p.keys = options_.cache ? std::min(options_.context,
                                     static_cast<int>(std::bit_ceil(static_cast<unsigned>(std::max(positions, 64)))))
                          : rows;
  p.positions = [this, sequence, count] {
    return std::accumulate(positions_.begin() + sequence, positions_.begin() + sequence + count, 0);
  };
  p.start = rows_of(start_, sequence, count);
  p.logits = rows_of(logits_, sequence, count);
  for (const Cache& c : caches_) p.caches.push_back({rows_of(c.k, sequence, count), rows_of(c.v, sequence, count)});
  if (!options_.cache) p.last = rows_of(last_, sequence, count);
  return p;
}

std::unique_ptr<Program> Model::record(const Plan& plan, const Pass& pass) {
  Recorder recorder(*compiler_);
  plan.record(recorder, pass);
  auto program = std::make_unique<Program>(device_, queue_);
  recorder.finish(*program);
  program->profile(profiling_);
  return program;
}

Program& Model::decode(int positions) {
  Pass p = pass(1, 0, options_.sequences, positions);
  p.ids = next_;
  const int key = options_.plan == PlanKind::fused ? 0 : p.keys;
  if (!decode_.contains(key)) {
    auto start = std::chrono::steady_clock::now();
    decode_[key] = record(*steps_.plan, p);
    compile_seconds_ += since(start);
  }
  return *decode_[key];
}

void Model::prepare(int tokens, int sequence) {
  auto start = std::chrono::steady_clock::now();
  choice_->prepare(sequence, 1);
  prepare_pass(tokens, sequence);
  compile_seconds_ += since(start);
}

void Model::prepare_pass(int tokens, int sequence) {
  if (!options_.cache) tokens = options_.context;
  // A single token of a single sequence is read by a decode step.
  if ((options_.cache && tokens <= 1 && options_.sequences == 1) || tokens < 1 || tokens > options_.context) return;
  if (prompt_pass_ && tokens == prompt_rows_ && sequence == prompt_sequence_ && options_.plan == PlanKind::fused)
    return;
  if (prompt_pass_ && !options_.cache && sequence == prompt_sequence_) return;
  prompt_pass_.reset();  // it refers to the memory that may be replaced
  make_room(prompts_, tokens);
  Pass p = pass(tokens, sequence, 1, position(sequence) + tokens);
  p.any_rows = options_.cache;
  p.ids = rows_of(prompt_, 0, tokens);
  prompt_pass_ = record(*prompts_.plan, p);
  prompt_rows_ = tokens;
  prompt_sequence_ = sequence;
}

void Model::check_id(int32_t id) const {
  if (id < 0 || id >= config_.vocab_size)
    throw Error(fmt::format("token {} is outside the model's vocabulary of {}", id, config_.vocab_size));
}

void Model::put(const TensorView& to, int sequence, int32_t value) {
  const char* base = static_cast<const char*>(small_->address());
  device_->write(*small_, static_cast<size_t>(at(to, sequence) - base), &value, 4);
}

void Model::set_sampling(const Sampling& sampling, int sequence) { choice_->set(sampling, sequence); }

// A pass, and the choice for the sequences whose logits it gave.
void Model::run(Program& program, int first, int count) {
  if (verify_ > 0) {
    program.verify_next_run();
    choice_->verify_next();
  }
  choice_->choose_after(
      program, first, std::span<const int>(positions_).subspan(static_cast<size_t>(first), static_cast<size_t>(count)));
}

void Model::reset(int sequence) {
  positions_.at(static_cast<size_t>(sequence)) = 0;
  ids_[static_cast<size_t>(sequence)].clear();
  choice_->forget(sequence);
}

void Model::read(std::span<const int32_t> ids, int sequence) {
  int& position = positions_.at(static_cast<size_t>(sequence));
  if (ids.empty()) throw Error("there is no token to read; an empty prompt stands for <|endoftext|>");
  if (static_cast<int64_t>(ids.size()) > options_.context - position)
    throw Error(fmt::format("{} tokens do not fit: there are {} positions and {} are taken; shorten the prompt",
                            ids.size(), options_.context, position));
  for (int32_t id : ids) check_id(id);
  choice_->read(ids, sequence);
  const int count = static_cast<int>(ids.size());
  if (!options_.cache) {
    position += count;
    auto& known = ids_[static_cast<size_t>(sequence)];
    known.insert(known.end(), ids.begin(), ids.end());
    return recompute(sequence);
  }
  put(start_, sequence, position);
  const bool as_step = count == 1 && options_.sequences == 1;
  Program* program = nullptr;
  if (as_step) {
    put(next_, sequence, ids[0]);
    program = &decode(position + 1);
  } else {
    prepare(count, sequence);
    write_prompt(ids);
    program = prompt_pass_.get();
  }
  position += count;
  run(*program, sequence, 1);
}

void Model::write_prompt(std::span<const int32_t> ids) {
  const char* base = static_cast<const char*>(small_->address());
  device_->write(*small_, static_cast<size_t>(at(prompt_, 0) - base), ids.data(), ids.size() * 4);
}

// What has not been read yet is token 0: causal attention does not let the rows before see it.
void Model::recompute(int sequence) {
  prepare(options_.context, sequence);
  std::vector<int32_t> ids = ids_[static_cast<size_t>(sequence)];
  ids.resize(static_cast<size_t>(options_.context));
  write_prompt(ids);
  put(start_, sequence, 0);
  put(last_, sequence, position(sequence) - 1);
  run(*prompt_pass_, sequence, 1);
}

// The most positions that a sequence has after the next step.
int Model::furthest(const std::vector<bool>& active) const {
  int most = 0;
  for (int s = 0; s < options_.sequences; ++s)
    if (active.empty() || active[static_cast<size_t>(s)]) most = std::max(most, position(s) + 1);
  return most;
}

void Model::prepare_step(const std::vector<bool>& active) {
  const int most = furthest(active);
  if (!options_.cache || most == 0 || most > options_.context) return;
  decode(most);
  auto start = std::chrono::steady_clock::now();
  choice_->prepare(0, options_.sequences);
  compile_seconds_ += since(start);
}

void Model::step(const std::vector<bool>& active) {
  const int most = furthest(active);
  if (most > options_.context) throw Error(fmt::format("all {} positions of the model are taken", options_.context));
  if (most == 0) return;
  std::vector<std::pair<int, int32_t>> waiting;  // sequences, and what they have still to read
  for (int s = 0; s < options_.sequences; ++s) {
    const bool runs = active.empty() || active[static_cast<size_t>(s)];
    int& position = positions_[static_cast<size_t>(s)];
    if (!options_.cache && runs) {
      const int32_t id = next(s);
      read(std::span(&id, 1), s);
    } else {
      // A sequence that waits is computed at the position that it will read next anyhow.
      put(start_, s, std::min(position, options_.context - 1));
      if (!runs) waiting.emplace_back(s, next(s));
      if (!runs) continue;
      ++position;
      const int32_t id = next(s);
      choice_->read(std::span(&id, 1), s);
    }
  }
  if (options_.cache) run(decode(most), 0, options_.sequences);
  for (auto [s, id] : waiting) put(next_, s, id);
  if (verify_ > 0) --verify_;
}

int32_t Model::next(int sequence) {
  int32_t id = 0;
  device_->read(&id, *small_, static_cast<size_t>(at(next_, sequence) - static_cast<char*>(small_->address())), 4);
  return id;
}
void Model::set_next(int32_t id, int sequence) {
  check_id(id);
  put(next_, sequence, id);
}

std::vector<float> Model::logits(int sequence) {
  std::vector<float> l(static_cast<size_t>(config_.vocab_size));
  device_->read(l.data(), *logits_buffer_, static_cast<size_t>(sequence) * l.size() * 4, l.size() * 4);
  return l;
}

float Model::logit(int32_t id, int sequence) {
  check_id(id);
  float l = 0;
  device_->read(&l, *logits_buffer_,
                (static_cast<size_t>(sequence) * static_cast<size_t>(config_.vocab_size) + static_cast<size_t>(id)) * 4,
                4);
  return l;
}

std::vector<double> Model::losses(std::span<const int32_t> ids, std::span<const int32_t> targets) {
  constexpr int64_t kRows = 64;  // whose logits are held at a time
  const int64_t V = config_.vocab_size;
  for (int32_t id : targets) check_id(id);
  if (targets.size() > ids.size())
    throw Error(fmt::format("{} targets for {} tokens; each token has one at most", targets.size(), ids.size()));
  reset();
  read(ids);
  const bool as_step = ids.size() == 1 && options_.sequences == 1;  // see read()
  if (!loss_buffer_) loss_buffer_ = touched(static_cast<size_t>(kRows * (V + 2)) * 4);
  std::vector<double> losses;
  for (size_t first = 0; first < targets.size(); first += kRows) {
    const auto count = std::min(kRows, static_cast<int64_t>(targets.size() - first));
    const TensorView logits = loss_buffer_->view(DType::f32, {count, V});
    const TensorView top = loss_buffer_->view(DType::f32, {count}, kRows * V);
    const TensorView log_sum = loss_buffer_->view(DType::f32, {count}, kRows * (V + 1));
    Recorder recorder(*compiler_);
    (as_step ? steps_ : prompts_)
        .plan->record_logits(recorder, static_cast<int>(first), static_cast<int>(count), logits);
    recorder.call(kernels::log_softmax_statistics(), {logits, top, log_sum},
                  kernels::rows_schedule(caps_of(device_->target())), "log-softmax");
    Program program(device_, queue_);
    recorder.finish(program);
    program.run();
    std::vector<float> statistics(static_cast<size_t>(2 * kRows));
    device_->read(statistics.data(), *loss_buffer_, static_cast<size_t>(kRows * V) * 4, statistics.size() * 4);
    for (size_t r = 0; r < static_cast<size_t>(count); ++r) {
      float logit = 0;
      const size_t place = r * static_cast<size_t>(V) + static_cast<size_t>(targets[first + r]);
      device_->read(&logit, *loss_buffer_, place * 4, 4);
      losses.push_back(static_cast<double>(statistics[r]) - logit + statistics[static_cast<size_t>(kRows) + r]);
    }
  }
  return losses;
}

size_t Model::activation_bytes() const {
  size_t bytes = logits_buffer_->bytes() + small_->bytes() + choice_->bytes();
  for (const BufferPtr& b : {steps_.scratch, prompts_.scratch, loss_buffer_})
    if (b) bytes += b->bytes();
  return bytes;
}

size_t Model::bytes_a_step() const {
  size_t bytes = weights_.bytes_a_token;
  if (!options_.cache) return bytes;
  const auto each = static_cast<size_t>(2 * config_.num_layers * config_.channels * size_of(caches_[0].k.dtype));
  for (int p : positions_) bytes += each * static_cast<size_t>(p);
  return bytes;
}

size_t Model::launches_a_step() {
  return (options_.cache ? decode_.begin()->second->launches() : prompt_pass_->launches()) +
         choice_->launches(0, options_.cache ? options_.sequences : 1);
}

void Model::profile(bool on) {
  profiling_ = on;
  choice_->profile(on);
  for (auto& [keys, program] : decode_) program->profile(on);
  if (prompt_pass_) prompt_pass_->profile(on);
}
std::vector<CallTimes> Model::times() const {
  std::vector<CallTimes> all;
  auto add = [&](const std::vector<CallTimes>& times) {
    for (const CallTimes& c : times) {
      auto it = std::find_if(all.begin(), all.end(), [&](const CallTimes& o) { return o.name == c.name; });
      if (it == all.end()) {
        all.push_back(c);
        continue;
      }
      it->calls += c.calls;
      it->seconds += c.seconds;
      it->device_clock |= c.device_clock;
      it->work.bytes += c.work.bytes;
      it->work.flops += c.work.flops;
    }
  };
  for (const auto& [keys, program] : decode_) add(program->times());
  if (!options_.cache) add(prompt_times());
  add(choice_->times());
  return all;
}
std::vector<CallTimes> Model::prompt_times() const {
  return prompt_pass_ ? prompt_pass_->times() : std::vector<CallTimes>{};
}

}  // namespace wavetile
