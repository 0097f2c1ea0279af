#include "emulator/fuzz/reference.h"

#include <algorithm>
#include <array>
#include <functional>
#include <stdexcept>

#include "codegen/testing/fiber.h"
#include "emulator/fuzz/exchange.h"

namespace wavetile::fuzz {
namespace {

// What a work-item waits for beside exchange()'s kinds.
constexpr int kNothing = -1, kBranch = 100;

struct Item;
Item* current = nullptr;

struct Item {
  explicit Item(int number) : number(number), fiber([](void* i) { static_cast<Item*>(i)->loop(); }, this) {}
  [[noreturn]] void loop() {
    for (;;) {
      body();
      done = true;
      fiber.leave();
    }
  }
  std::uint64_t wait(int kind, const Asked& what) {
    waits_for = kind, asked = what;
    fiber.leave();
    return answer;
  }

  const int number;
  Fiber fiber;
  std::function<void()> body;
  bool done = false;
  int waits_for = kNothing;
  Asked asked{};
  std::uint64_t answer = 0;
  int lane = 0, wave = 0;
  std::vector<std::uint64_t> masks;  // the lanes that it meets, innermost last
};

}  // namespace

int current_lane() { return current->lane; }

std::uint64_t lanes_exchange(std::uint32_t kind, std::uint64_t value, std::uint64_t other, std::uint64_t a,
                             std::uint64_t b) {
  return current->wait(static_cast<int>(kind), {static_cast<Exchange>(kind), value, other, a, b});
}
void lanes_branch(std::uint32_t which) {
  current->masks.push_back(current->wait(kBranch, {Exchange::ballot, which, 0, 0, 0}));
}
void lanes_continue(std::uint32_t more) {
  const std::uint64_t same = current->wait(kBranch, {Exchange::ballot, more, 0, 0, 0});
  if (more) {
    current->masks.back() = same;
  } else {
    current->masks.pop_back();
  }
}
void lanes_join() { current->masks.pop_back(); }
void lanes_barrier() { current->wait(static_cast<int>(Exchange::barrier), {Exchange::barrier, 0, 0, 0, 0}); }

struct Reference::State {
  std::vector<std::unique_ptr<Item>> items;
  int lanes = 32;
  bool half_permute = false;

  void group(const std::function<void(int)>& body) {
    for (auto& i : items) {
      i->done = false, i->waits_for = kNothing;
      i->lane = i->number % lanes, i->wave = i->number / lanes;
      i->masks.assign(1, lanes == 64 ? ~std::uint64_t{0} : 0xffffffff);
      i->body = [&body, n = i->number] { body(n); };
    }
    for (bool all_done = false; !all_done;) {
      all_done = true;
      for (auto& i : items) {
        if (i->done || i->waits_for != kNothing) continue;
        current = i.get();
        i->fiber.enter();
      }
      for (auto& i : items) all_done = all_done && i->done;
      if (!all_done) answer();
    }
  }

  // Lets those go on that have all met.
  void answer() {
    bool any = false, all_at_barrier = true;
    for (auto& i : items) all_at_barrier = all_at_barrier && i->waits_for == static_cast<int>(Exchange::barrier);
    for (auto& i : items) {
      if (i->waits_for == kNothing || i->done) continue;
      if (i->waits_for == static_cast<int>(Exchange::barrier)) {
        if (all_at_barrier) i->waits_for = kNothing, any = true;
      } else if (complete(*i)) {
        meet(i->wave, i->masks.back());
        any = true;
      }
    }
    if (!any) throw std::logic_error("the reference is stuck: its work-items wait for different things");
  }
  Item& at(int wave, int lane) { return *items[static_cast<std::size_t>(wave * lanes + lane)]; }
  bool complete(const Item& first) {
    for (int l = 0; l < lanes; ++l) {
      if (!(first.masks.back() >> l & 1)) continue;
      const Item& i = at(first.wave, l);
      if (i.done || i.waits_for != first.waits_for || i.masks.back() != first.masks.back()) return false;
    }
    return true;
  }
  void meet(int wave, std::uint64_t mask) {
    std::array<Asked, 64> asked{};
    int kind = kNothing;
    for (int l = 0; l < lanes; ++l) {
      if (!(mask >> l & 1)) continue;
      asked[static_cast<std::size_t>(l)] = at(wave, l).asked;
      kind = at(wave, l).waits_for;
    }
    std::array<std::uint64_t, 64> answers{};
    if (kind == kBranch) {
      for (int l = 0; l < lanes; ++l)
        for (int m = 0; m < lanes; ++m)
          if ((mask >> l & 1) && (mask >> m & 1) &&
              asked[static_cast<std::size_t>(l)].value == asked[static_cast<std::size_t>(m)].value)
            answers[static_cast<std::size_t>(l)] |= std::uint64_t{1} << m;
    } else {
      answers = exchange(asked, mask, lanes, half_permute);
    }
    for (int l = 0; l < lanes; ++l)
      if (mask >> l & 1) at(wave, l).answer = answers[static_cast<std::size_t>(l)], at(wave, l).waits_for = kNothing;
  }
};

Reference::Reference() : state_(std::make_unique<State>()) {
  for (int i = 0; i < kGroupItems; ++i) state_->items.push_back(std::make_unique<Item>(i));
}
Reference::~Reference() = default;

Result Reference::run(HostFunction function, const Program& p, const Data& data, int lanes, bool half_permute) {
  state_->lanes = lanes, state_->half_permute = half_permute;
  Result r{std::vector<std::uint8_t>(std::size_t{kItems} * kOutputBytes), data.own, data.shared};
  // Aligned as the kernels' buffers are.
  alignas(64) static std::uint8_t lds[kLdsBytes];
  for (std::uint32_t g = 0; g < kGroups; ++g) {
    std::fill(std::begin(lds), std::end(lds), std::uint8_t{0xa5});
    state_->group([&](int item) {
      function(data.input.data(), data.uniform.data(), r.own.data(), r.shared.data(), r.out.data(), lds,
               static_cast<std::uint32_t>(item), g, static_cast<std::uint32_t>(p.scalars[0]), p.scalars[1],
               static_cast<std::uint32_t>(p.scalars[2]), p.scalars[3]);
    });
  }
  return r;
}

}  // namespace wavetile::fuzz
