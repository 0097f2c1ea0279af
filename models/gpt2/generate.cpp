#include "models/gpt2/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

namespace wavetile {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

[[noreturn]] void throw_bad_logits(int position) {
  throw BadLogits(fmt::format(
      "the logits after {} tokens are not numbers (NaN or infinite): the weights are damaged, or too large for "
      "the compute type; try --dtype f32, or another copy of the model",
      position));
}

// How many bytes at the end of `text` are the beginning of one of the stop strings.
size_t begun(std::string_view text, const std::vector<std::string>& stop) {
  size_t longest = 0;
  for (const std::string& s : stop)
    for (size_t n = std::min(text.size(), s.size() - 1); n > longest; --n)
      if (text.ends_with(std::string_view(s).substr(0, n))) longest = n;
  return longest;
}

size_t first_stop(std::string_view text, const std::vector<std::string>& stop) {
  size_t first = std::string_view::npos;
  for (const std::string& s : stop) first = std::min(first, text.find(s));
  return first;
}

}  // namespace

std::string_view name_of(Finish finish) {
  switch (finish) {
    case Finish::length:
      return "length";
    case Finish::stop_string:
      return "stop";
    case Finish::end_of_text:
      return "end_of_text";
    case Finish::context:
      return "context";
    case Finish::interrupted:
      return "interrupted";
  }
  throw InternalError("an unknown reason to finish");
}

Generator::Generator(Model& model, const Tokenizer& tokenizer, const std::atomic<bool>* interrupted)
    : model_(model), tokenizer_(tokenizer), interrupted_(interrupted), slots_(static_cast<size_t>(model.sequences())) {}

std::vector<Completion> Generator::run(const std::vector<Request>& requests, const OnText& on_text,
                                       const OnDone& on_done) {
  requests_ = &requests;
  on_text_ = &on_text;
  on_done_ = &on_done;
  completions_.assign(requests.size(), {});
  for (Slot& s : slots_) s.request = -1;  // where a run before this one was ended by an error
  size_t next = 0;
  double bytes = times_.bytes_per_step * static_cast<double>(times_.steps.size());
  for (;;) {
    for (size_t s = 0; s < slots_.size() && next < requests.size() && !stopped(); ++s)
      while (!active(s) && next < requests.size() && !stopped()) start(s, static_cast<int>(next++));
    if (stopped()) {
      for (size_t s = 0; s < slots_.size(); ++s)
        if (active(s)) finish(s, Finish::interrupted);
      break;
    }
    for (size_t s = 0; s < slots_.size(); ++s)
      if (active(s)) make_room(s);
    if (stopped()) continue;
    std::vector<bool> runs;
    for (size_t s = 0; s < slots_.size(); ++s) runs.push_back(active(s));
    const auto count = std::count(runs.begin(), runs.end(), true);
    if (count == 0 && next == requests.size()) break;
    if (count == 0) continue;
    model_.prepare_step(runs);
    auto begin = Clock::now();
    model_.step(runs);
    for (size_t s = 0; s < slots_.size(); ++s)
      if (runs[s]) model_.next(static_cast<int>(s));  // waits for the device
    times_.steps.push_back(since(begin));
    times_.step_tokens += static_cast<int>(count);
    bytes += static_cast<double>(model_.bytes_a_step());
    for (size_t s = 0; s < slots_.size(); ++s)
      if (runs[s]) accept(s);
  }
  for (size_t r = next; r < requests.size(); ++r) completions_[r].finish = Finish::interrupted;
  if (!times_.steps.empty()) times_.bytes_per_step = bytes / static_cast<double>(times_.steps.size());
  return std::move(completions_);
}

void Generator::start(size_t slot, int request) {
  const Request& r = (*requests_)[static_cast<size_t>(request)];
  Slot& s = slots_[slot];
  const int sequence = static_cast<int>(slot);
  s.request = request;
  s.characters = {};
  s.held.clear();
  if (!r.continues) {
    s.history.clear();
    model_.reset(sequence);
  }
  model_.set_sampling(r.sampling, sequence);
  s.history.insert(s.history.end(), r.prompt.begin(), r.prompt.end());
  if (r.continues && r.policy == ContextPolicy::slide && static_cast<int>(s.history.size()) > model_.context())
    keep_last_half(slot);
  read(slot, std::span<const int32_t>(s.history).subspan(static_cast<size_t>(model_.position(sequence))));
  Completion& c = completions_[static_cast<size_t>(request)];
  std::vector<float> logits = model_.logits(sequence);
  if (!std::all_of(logits.begin(), logits.end(), [](float l) { return std::isfinite(l); }))
    throw_bad_logits(model_.position(sequence));
  if (r.keep_logits) c.prompt_logits = std::move(logits);
  if (r.max_tokens == 0) return finish(slot, Finish::length);
  accept(slot);
}

void Generator::read(size_t slot, std::span<const int32_t> ids) {
  model_.prepare(static_cast<int>(ids.size()), static_cast<int>(slot));
  auto begin = Clock::now();
  model_.read(ids, static_cast<int>(slot));
  model_.next(static_cast<int>(slot));
  times_.prompts += since(begin);
  times_.prompt_tokens += static_cast<int>(ids.size());
}

// The token that the model has chosen becomes part of the text, unless the text ends with it.
void Generator::accept(size_t slot) {
  Slot& s = slots_[slot];
  const Request& r = (*requests_)[static_cast<size_t>(s.request)];
  Completion& c = completions_[static_cast<size_t>(s.request)];
  const int sequence = static_cast<int>(slot);
  const int32_t id = model_.next(sequence);
  // After a sound prompt only a damaged position or embedding row can spoil a step, and that spoils every logit.
  if (id < 0 || id >= model_.config().vocab_size || !std::isfinite(model_.logit(id, sequence)))
    throw_bad_logits(model_.position(sequence));
  if (id >= tokenizer_.vocab_size())
    throw BadLogits(
        fmt::format("the model chose token {} and its vocabulary files have {}: they belong to another model", id,
                    tokenizer_.vocab_size()));
  c.ids.push_back(id);
  if (r.logprobs > 0) c.logprobs.push_back(logprobs_of(slot, id, r.logprobs));
  s.history.push_back(id);
  if (id == tokenizer_.end_of_text() && !r.ignore_end) return finish(slot, Finish::end_of_text);
  const int request = s.request;
  put_text(slot, s.characters.push(tokenizer_.decode(id)), false);
  if (s.request != request) return;  // a stop string
  if (static_cast<int>(c.ids.size()) >= r.max_tokens) finish(slot, Finish::length);
}

void Generator::put_text(size_t slot, std::string_view text, bool last) {
  Slot& s = slots_[slot];
  const Request& r = (*requests_)[static_cast<size_t>(s.request)];
  Completion& c = completions_[static_cast<size_t>(s.request)];
  s.held += text;
  // What begins first wins, so a whole stop string waits for one that began before it.
  const size_t stop = first_stop(s.held, r.stop), safe = last ? s.held.size() : s.held.size() - begun(s.held, r.stop);
  const bool stops = stop != std::string::npos && stop <= safe;
  const size_t ready = stops ? stop : safe;
  const std::string piece = s.held.substr(0, ready);
  s.held.erase(0, ready);
  c.text += piece;
  if (!piece.empty() && *on_text_) (*on_text_)(static_cast<size_t>(s.request), piece);
  if (!stops) return;
  s.held.clear();
  finish(slot, Finish::stop_string);
}

void Generator::finish(size_t slot, Finish how) {
  Slot& s = slots_[slot];
  if (how != Finish::stop_string) {
    const int request = s.request;
    put_text(slot, s.characters.flush(), true);
    if (s.request != request) return;
  }
  Completion& c = completions_[static_cast<size_t>(s.request)];
  c.finish = how;
  const auto request = static_cast<size_t>(s.request);
  s.request = -1;
  model_.set_sampling({}, static_cast<int>(slot));  // what is idle does not make the others draw
  if (*on_done_) (*on_done_)(request, c);
}

// Before a step: the token that it reads needs a position.
void Generator::make_room(size_t slot) {
  Slot& s = slots_[slot];
  while (active(slot) && !stopped() && static_cast<int>(s.history.size()) > model_.context()) {
    if ((*requests_)[static_cast<size_t>(s.request)].policy == ContextPolicy::stop)
      return finish(slot, Finish::context);
    keep_last_half(slot);
    read(slot, s.history);
    accept(slot);
  }
}

void Generator::keep_last_half(size_t slot) {
  auto& history = slots_[slot].history;
  history.erase(history.begin(), history.end() - std::max(1, model_.context() / 2));
  model_.reset(static_cast<int>(slot));
}

TokenLogprobs Generator::logprobs_of(size_t slot, int32_t id, int count) {
  const std::vector<float> logits = model_.logits(static_cast<int>(slot));
  const double top = *std::max_element(logits.begin(), logits.end());
  const double sum =
      std::accumulate(logits.begin(), logits.end(), 0.0, [&](double a, float l) { return a + std::exp(l - top); });
  const double normal = top + std::log(sum);
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::min<std::ptrdiff_t>(count, std::ssize(order));
  std::partial_sort(order.begin(), end, order.end(), [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  TokenLogprobs t{logits[static_cast<size_t>(id)] - normal, {}};
  for (auto it = order.begin(); it != end; ++it) t.top.emplace_back(*it, logits[static_cast<size_t>(*it)] - normal);
  return t;
}

}  // namespace wavetile
