#include "models/gpt2/model.h"

#include <chrono>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "kernels/kernels.h"
#include "kernels/schedules.h"

namespace wavetile {
namespace {

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double bytes_of(const TensorView& t) {
  double n = size_of(t.dtype);
  for (int64_t e : t.extents) n *= static_cast<double>(e);
  return n;
}

// Rows in a buffer laid out for f32; narrower ones leave room.
TensorView as_rows(const Buffer& b, int64_t offset, int64_t rows, int64_t columns, DType dtype = DType::f32) {
  return b.view(dtype, {rows, columns}, offset * 4 / size_of(dtype));
}
// A column block of every row, as heads: [heads, rows, size].
TensorView as_heads(const TensorView& rows, int64_t first, int64_t heads, int64_t size) {
  return {rows.dtype,
          static_cast<char*>(rows.data) + first * size_of(rows.dtype),
          {heads, rows.extents[0], size},
          {size, rows.strides[0], 1}};
}
TensorView as_vector(const TensorView& row) { return {row.dtype, row.data, {row.extents[1]}, {1}}; }

}  // namespace

Model::Model(const Checkpoint& checkpoint, DevicePtr device, DType dtype, DumpTo dump)
    : config_(checkpoint.config()),
      device_(std::move(device)),
      dtype_(dtype),
      compiler_(std::make_unique<Compiler>(device_, std::move(dump))) {
  auto start = std::chrono::steady_clock::now();
  const int64_t T = config_.max_seq_len, C = config_.channels, H = config_.num_heads, D = config_.head_size();
  const Caps& caps = caps_of(device_->target());

  small_ = device_->allocate(static_cast<size_t>(T + 32) * 4);
  start_ = small_->view(DType::i32, {1}, 0);
  next_ = small_->view(DType::i32, {1}, 16);
  prompt_ = small_->view(DType::i32, {T}, 32);
  logits_ = device_->allocate(static_cast<size_t>(config_.vocab_size) * 4);
  // Pages come into being when they are first written: those of the cache here, those of a prompt in prepare(), so that
  // neither a prompt nor a step waits for the system.
  activations_ = device_->allocate(static_cast<size_t>(T * C) * 4 * 10);
  Packing keys = caps.simd ? kernels::key_packing(caps) : Packing{};
  int64_t lanes = keys.blocks.empty() ? 1 : keys.blocks[0].size, padded = (T + lanes - 1) / lanes * lanes;
  int64_t per_layer = 2 * H * padded * D;
  cache_buffer_ = device_->allocate(static_cast<size_t>(config_.num_layers * per_layer * size_of(dtype)));
  touch(0, cache_buffer_->bytes(), *cache_buffer_);
  for (int l = 0; l < config_.num_layers; ++l) {
    Cache c{cache_buffer_->view(dtype, {H, padded, D}, l * per_layer),
            cache_buffer_->view(dtype, {H, padded, D}, l * per_layer + H * padded * D)};
    c.k.extents[1] = c.v.extents[1] = T;
    if (lanes > 1) c.k.strides = {padded * D, lanes * D, lanes};
    caches_.push_back(c);
  }
  weights_ = load_weights(checkpoint, *device_, dtype);
  load_seconds_ = since(start);

  start = std::chrono::steady_clock::now();
  decode_ = std::make_unique<Program>(device_);
  build(*decode_, 1, next_);
  compile_seconds_ += since(start);
}

// Two passes over the same calls: the first asks for every kernel, so that they compile side by side; the second
// waits for them and records the program.
void Model::build(Program& p, int rows, const TensorView& ids) {
  using namespace kernels;
  const int64_t C = config_.channels, H = config_.num_heads, D = config_.head_size(), M = rows;
  const int64_t T = config_.max_seq_len, V = config_.vocab_size;
  const Caps& caps = caps_of(device_->target());
  const bool one = rows == 1;
  const DType inputs = input_type(caps, dtype_);
  TensorView x = as_rows(*activations_, 0, M, C), normal = as_rows(*activations_, T * C, M, C, inputs);
  TensorView qkv = as_rows(*activations_, 2 * T * C, M, 3 * C), mixed = as_rows(*activations_, 5 * T * C, M, C, inputs);
  TensorView hidden = as_rows(*activations_, 6 * T * C, M, 4 * C, inputs);
  TensorView logits = logits_->view(DType::f32, {V});

  auto signature = [&](const Kernel& k, const std::vector<TensorView>& tensors, bool any_rows) {
    Signature sig = signature_of(tensors);
    for (size_t i = 0; i < sig.size(); ++i) {
      sig[i].alignment = std::min(sig[i].alignment, 16);
      // A prompt's length differs from run to run: the dimension that it sets is read at launch.
      static const std::map<std::string, size_t> row_dimension = {
          {"A", 0}, {"C", 0}, {"R", 0}, {"X", 0}, {"Y", 0}, {"Q", 1}, {"O", 1}, {"NewK", 1}, {"NewV", 1}, {"Id", 0}};
      auto d = row_dimension.find(k.graph().tensors[i].name);
      if (any_rows && d != row_dimension.end() && d->second < sig[i].extents.size()) sig[i].extents[d->second].reset();
    }
    return sig;
  };
  Schedule row = rows_schedule(caps), vector = gemv_schedule(caps, dtype_);
  const double scale = 1 / std::sqrt(static_cast<double>(D));
  for (bool record : {false, true}) {
    auto call = [&](const Kernel& k, const std::vector<TensorView>& tensors, const Schedule& s,
                    const std::string& label, Work work = {}, bool any_rows = true) {
      auto module = compiler_->request(k, signature(k, tensors, any_rows && !one), s);
      if (record) p.add(module.get(), tensors, {}, label, work);
    };
    auto product = [&](const TensorView& in, const LinearWeights& w, const TensorView& out, const TensorView* residual,
                       Activation a, const std::string& label) {
      Work work{bytes_of(w.weight), 2.0 * static_cast<double>(M * w.weight.extents[0] * w.weight.extents[1])};
      if (one) {
        if (residual)
          call(gemv_residual(dtype_, inputs), {as_vector(in), w.weight, w.bias, as_vector(*residual), as_vector(out)},
               vector, label, work);
        else
          call(gemv_linear(dtype_, a, inputs, out.dtype), {as_vector(in), w.weight, w.bias, as_vector(out)}, vector,
               label, work);
      } else {
        Schedule s = matmul_schedule(caps, dtype_, rows, w.weight.extents[0]);
        if (residual)
          call(linear_residual(dtype_, inputs), {in, w.weight, w.bias, *residual, out}, s, label, work);
        else
          call(linear(dtype_, a, inputs, out.dtype), {in, w.weight, w.bias, out}, s, label, work);
      }
    };
    call(embedding(dtype_), {weights_.tokens, weights_.positions, ids, start_, x}, embedding_schedule(caps, dtype_),
         "embedding");
    for (size_t l = 0; l < weights_.layers.size(); ++l) {
      const LayerWeights& w = weights_.layers[l];
      const Cache& cache = caches_[l];
      call(layernorm(config_.layernorm_eps, inputs), {x, w.ln_1.gain, w.ln_1.bias, normal}, row, "layernorm");
      product(normal, w.qkv, qkv, nullptr, Activation::none, "qkv");
      call(append_to_cache(dtype_), {as_heads(qkv, C, H, D), as_heads(qkv, 2 * C, H, D), start_, cache.k, cache.v},
           append_schedule(caps), "append to cache");
      call(attention(dtype_, scale, inputs),
           {as_heads(qkv, 0, H, D), cache.k, cache.v, start_, as_heads(mixed, 0, H, D)}, attention_schedule(caps, one),
           "attention");
      product(mixed, w.projection, x, &x, Activation::none, "projection");
      call(layernorm(config_.layernorm_eps, inputs), {x, w.ln_2.gain, w.ln_2.bias, normal}, row, "layernorm");
      product(normal, w.fc, hidden, nullptr, Activation::gelu, "fc, gelu");
      product(hidden, w.fc_projection, x, &x, Activation::none, "fc projection");
    }
    // Only the last row's logits are wanted.
    TensorView last = x, out = normal;
    last.data = static_cast<float*>(x.data) + (M - 1) * C;
    last.extents[0] = out.extents[0] = 1;
    call(layernorm(config_.layernorm_eps, inputs), {last, weights_.ln_f.gain, weights_.ln_f.bias, out}, row,
         "final layernorm", {}, false);
    call(gemv(dtype_, inputs), {as_vector(out), weights_.head, logits}, vector, "logits",
         {bytes_of(weights_.head), 2.0 * static_cast<double>(C * V)}, false);
    call(argmax(), {logits_->view(DType::f32, {1, V}), next_}, row, "argmax", {}, false);
  }
}

void Model::check_id(int32_t id) const {
  if (id < 0 || id >= config_.vocab_size)
    throw Error(fmt::format("token {} is outside the model's vocabulary of {}", id, config_.vocab_size));
}

void Model::set_position() {
  int32_t p = position_;
  device_->write(*small_, 0, &p, 4);
}

void Model::touch(size_t offset, size_t bytes, const Buffer& buffer) {
  const std::vector<char> zeros(size_t{1} << 20);
  for (size_t done = 0; done < bytes; done += zeros.size())
    device_->write(buffer, offset + done, zeros.data(), std::min(zeros.size(), bytes - done));
}

void Model::prepare(int tokens) {
  if (tokens <= 1 || tokens > config_.max_seq_len || tokens == prefill_rows_) return;
  auto start = std::chrono::steady_clock::now();
  auto program = std::make_unique<Program>(device_);
  TensorView ids = prompt_;
  ids.extents[0] = tokens;
  build(*program, tokens, ids);
  const size_t row = static_cast<size_t>(config_.channels) * 4, rows = static_cast<size_t>(config_.max_seq_len);
  for (auto [first, columns] :
       {std::pair<size_t, size_t>{0, 1}, {1, 1}, {2, 3}, {5, 1}, {6, 4}})  // as build() lays them out
    touch(first * rows * row, columns * static_cast<size_t>(tokens) * row, *activations_);
  program->profile(profiling_);
  prefill_ = std::move(program);
  prefill_rows_ = tokens;
  compile_seconds_ += since(start);
}

void Model::read(std::span<const int32_t> ids) {
  if (ids.empty()) throw Error("there is no token to read; an empty prompt stands for <|endoftext|>");
  if (static_cast<int64_t>(ids.size()) > config_.max_seq_len - position_)
    throw Error(fmt::format("{} tokens do not fit: the model has {} positions and {} are taken; shorten the prompt",
                            ids.size(), config_.max_seq_len, position_));
  for (int32_t id : ids) check_id(id);
  set_position();
  if (ids.size() == 1) {
    device_->write(*small_, 16 * 4, ids.data(), 4);
    decode_->run();
  } else {
    prepare(static_cast<int>(ids.size()));
    device_->write(*small_, 32 * 4, ids.data(), ids.size() * 4);
    prefill_->run();
  }
  position_ += static_cast<int>(ids.size());
}

void Model::step() {
  if (position_ >= config_.max_seq_len)
    throw Error(fmt::format("all {} positions of the model are taken", config_.max_seq_len));
  set_position();
  decode_->run();
  ++position_;
}

int32_t Model::next() {
  int32_t id = 0;
  device_->read(&id, *small_, 16 * 4, 4);
  return id;
}
void Model::set_next(int32_t id) {
  check_id(id);
  device_->write(*small_, 16 * 4, &id, 4);
}

std::vector<float> Model::logits() {
  std::vector<float> l(static_cast<size_t>(config_.vocab_size));
  device_->read(l.data(), *logits_, 0, l.size() * 4);
  return l;
}

float Model::logit(int32_t id) {
  check_id(id);
  float l = 0;
  device_->read(&l, *logits_, static_cast<size_t>(id) * 4, 4);
  return l;
}

size_t Model::cache_bytes() const { return cache_buffer_->bytes(); }
size_t Model::bytes_a_token() const {
  size_t cache = static_cast<size_t>(2 * config_.num_layers * config_.channels * size_of(dtype_));
  return weights_.bytes_a_token + cache * static_cast<size_t>(position_);
}

void Model::profile(bool on) {
  profiling_ = on;
  decode_->profile(on);
  if (prefill_) prefill_->profile(on);
}
std::vector<CallTimes> Model::times() const { return decode_->times(); }
std::vector<CallTimes> Model::prompt_times() const { return prefill_ ? prefill_->times() : std::vector<CallTimes>{}; }

}  // namespace wavetile
