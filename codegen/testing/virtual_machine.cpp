#include "codegen/testing/virtual_machine.h"

#include <fmt/format.h>

#include "codegen/testing/fiber.h"
#include "dsl/error.h"

namespace wavetile {

struct VirtualMachine::Thread {
  VirtualMachine* machine = nullptr;
  int number = 0, warp = 0, lane = 0;
  State state = State::done;
  uint32_t site = 0;
  uint64_t bits = 0;
  uint32_t from = 0;
  Fiber fiber{[](void* t) { static_cast<Thread*>(t)->run(); }, this};

  void run() {
    for (;;) {
      machine->entry_(machine->slots_, machine->block_, machine->block_ + 1, &machine->context_, warp, lane);
      machine->wait(State::done, 0);
    }
  }
};

VirtualMachine::VirtualMachine(std::string kernel, VirtualEntry entry, int warps, int threads_of_warp,
                               const int64_t* slots)
    : kernel_(std::move(kernel)), entry_(entry), warps_(warps), threads_of_warp_(threads_of_warp), slots_(slots) {
  context_.machine = this;
  context_.shuffle = [](VirtualContext* c, uint64_t bits, uint32_t from, uint32_t site) {
    Thread* t = c->machine->current_;
    t->bits = bits;
    t->from = from;
    c->machine->wait(State::shuffle, site);
    return t->bits;
  };
  context_.barrier = [](VirtualContext* c, uint32_t site) { c->machine->wait(State::barrier, site); };
  context_.load = [](VirtualContext* c, uint64_t offset, uint32_t size, uint32_t active, uint32_t bound) {
    return active ? c->machine->load(offset, size, bound) : uint64_t{0};
  };
  context_.store = [](VirtualContext* c, uint64_t offset, uint64_t bits, uint32_t size, uint32_t active,
                      uint32_t bound) {
    if (active) c->machine->store(offset, bits, size, bound);
  };
  for (int i = 0; i < warps * threads_of_warp; ++i) {
    auto t = std::make_unique<Thread>();
    t->machine = this;
    t->number = i;
    t->warp = i / threads_of_warp;
    t->lane = i % threads_of_warp;
    threads_.push_back(std::move(t));
  }
}

VirtualMachine::~VirtualMachine() = default;

std::string VirtualMachine::who(const Thread& t) const {
  return threads_of_warp_ == 1 ? fmt::format("warp {}", t.warp) : fmt::format("lane {} of warp {}", t.lane, t.warp);
}

std::string VirtualMachine::doing(const Thread& t) {
  if (t.state == State::done) return "has ended";
  return fmt::format("waits at {} {}", t.state == State::shuffle ? "shuffle" : "barrier", t.site);
}

// On a fiber this leaves for good, and the scheduler throws. Nothing that owns memory may be alive then.
void VirtualMachine::fail(std::string&& what) {
  problem_ = std::move(what);
  if (current_) current_->fiber.leave();
  throw Error(fmt::format("kernel '{}', block {}: {}", kernel_, block_, problem_));
}

void VirtualMachine::wait(State s, uint32_t site) {
  Thread* t = current_;
  t->state = s;
  t->site = site;
  t->fiber.leave();
}

void VirtualMachine::resume(Thread& t) {
  current_ = &t;
  t.fiber.enter();
  current_ = nullptr;
  if (!problem_.empty()) throw Error(fmt::format("kernel '{}', block {}, {}: {}", kernel_, block_, who(t), problem_));
}

// Every lane has arrived at the same shuffle.
void VirtualMachine::resolve_shuffle(int warp) {
  auto n = static_cast<size_t>(threads_of_warp_);
  std::vector<uint64_t> bits(n);
  auto* first = &threads_[static_cast<size_t>(warp) * n];
  for (size_t i = 0; i < n; ++i) bits[i] = first[i]->bits;
  for (size_t i = 0; i < n; ++i) {
    if (first[i]->from >= n) fail(fmt::format("{} reads lane {} of {}", who(*first[i]), first[i]->from, n));
    first[i]->bits = bits[first[i]->from];
    first[i]->state = State::ready;
  }
}

// Runs a warp until it waits for its block or ends.
void VirtualMachine::run_warp(int warp) {
  auto n = static_cast<size_t>(threads_of_warp_);
  auto* first = &threads_[static_cast<size_t>(warp) * n];
  for (;;) {
    bool backwards = (block_ / 2) % 2;
    for (size_t i = 0; i < n; ++i) {
      Thread& t = *first[backwards ? n - 1 - i : i];
      if (t.state == State::ready) resume(t);
    }
    for (size_t i = 1; i < n; ++i)
      if (first[i]->state != first[0]->state || first[i]->site != first[0]->site)
        fail(fmt::format("lanes 0 and {} of warp {} part ways: one {}, the other {}", i, warp, doing(*first[0]),
                         doing(*first[i])));
    if (first[0]->state != State::shuffle) return;
    resolve_shuffle(warp);
  }
}

void VirtualMachine::run_block(int64_t block) {
  block_ = block;
  ++epoch_;
  for (Byte& b : shared_) b.written = false;
  for (auto& t : threads_) t->state = State::ready;
  auto n = static_cast<size_t>(threads_of_warp_);
  for (;;) {
    for (int i = 0; i < warps_; ++i) run_warp(block % 2 ? warps_ - 1 - i : i);
    for (int w = 1; w < warps_; ++w) {
      const Thread &a = *threads_[0], &b = *threads_[static_cast<size_t>(w) * n];
      if (a.state != b.state || a.site != b.site)
        fail(fmt::format("warps 0 and {} part ways: one {}, the other {}", w, doing(a), doing(b)));
    }
    if (threads_[0]->state == State::done) return;
    ++epoch_;
    for (auto& t : threads_) t->state = State::ready;
  }
}

void VirtualMachine::check(uint64_t offset, uint32_t size, uint32_t bound) {
  if (offset + size > bound || offset > bound)
    fail(fmt::format("accesses byte {} of {} bytes of shared memory", static_cast<int64_t>(offset), bound));
  if (offset % size) fail(fmt::format("{} bytes at byte {} of shared memory are misaligned", size, offset));
  if (shared_.size() < bound) shared_.resize(bound);
}

std::string VirtualMachine::conflict(std::string_view does, uint64_t offset, int other, std::string_view did) const {
  std::string thread = other == several_readers ? "several threads" : who(*threads_[static_cast<size_t>(other)]);
  return fmt::format("{} byte {} of shared memory, which {} {} since the last barrier", does, offset, thread, did);
}

uint64_t VirtualMachine::load(uint64_t offset, uint32_t size, uint32_t bound) {
  check(offset, size, bound);
  uint64_t bits = 0;
  for (uint32_t i = 0; i < size; ++i) {
    Byte& b = shared_[offset + i];
    if (!b.written) fail(fmt::format("reads byte {} of shared memory, which nothing wrote", offset + i));
    if (b.write_epoch == epoch_ && b.writer != current_->number) fail(conflict("reads", offset + i, b.writer, "wrote"));
    b.reader = b.read_epoch == epoch_ && b.reader != current_->number ? several_readers : current_->number;
    b.read_epoch = epoch_;
    bits |= static_cast<uint64_t>(b.value) << 8 * i;
  }
  return bits;
}

void VirtualMachine::store(uint64_t offset, uint64_t bits, uint32_t size, uint32_t bound) {
  check(offset, size, bound);
  for (uint32_t i = 0; i < size; ++i) {
    Byte& b = shared_[offset + i];
    auto value = static_cast<uint8_t>(bits >> 8 * i);
    bool same = b.written && b.value == value;
    if (!same && b.written && b.write_epoch == epoch_ && b.writer != current_->number)
      fail(conflict("overwrites", offset + i, b.writer, "wrote"));
    if (!same && b.read_epoch == epoch_ && b.reader != current_->number)
      fail(conflict("overwrites", offset + i, b.reader, "read"));
    b.value = value;
    b.writer = current_->number;
    b.write_epoch = epoch_;
    b.written = true;
  }
}

}  // namespace wavetile
