// Several monitors behind one: each hook goes to all of them, in order.
#pragma once

#include <utility>
#include <vector>

#include "emulator/monitor.h"

namespace wavetile::emu {

class Monitors final : public Monitor {
 public:
  void add(std::shared_ptr<Monitor> monitor) {
    if (monitor) all_.push_back(std::move(monitor));
  }
  /// nullptr: there is none. One alone needs nobody before it.
  Monitor* monitor() { return all_.empty() ? nullptr : all_.size() == 1 ? all_[0].get() : this; }

  void dispatch_begin(const Launch& l) override {
    for (auto& m : all_) m->dispatch_begin(l);
  }
  void dispatch_end(const Launch& l) override {
    for (auto& m : all_) m->dispatch_end(l);
  }
  void workgroup_begin(Workgroup& g) override {
    for (auto& m : all_) m->workgroup_begin(g);
  }
  void workgroup_end(Workgroup& g) override {
    for (auto& m : all_) m->workgroup_end(g);
  }
  void wave_begin(Wave& w, const std::vector<RegisterRange>& written) override {
    for (auto& m : all_) m->wave_begin(w, written);
  }
  void wave_end(Wave& w) override {
    for (auto& m : all_) m->wave_end(w);
  }
  void before(Wave& w, const Op& op) override {
    for (auto& m : all_) m->before(w, op);
  }
  void after(Wave& w, const Op& op) override {
    for (auto& m : all_) m->after(w, op);
  }
  void access(Wave& w, const Op& op, const Access& a) override {
    for (auto& m : all_) m->access(w, op, a);
  }
  bool stale() const override { return reader() != nullptr; }
  void read(Wave& w, const Op& op, const Access& a, std::uint64_t address, void* to, std::uint32_t bytes) override {
    reader()->read(w, op, a, address, to, bytes);
  }
  void wait(Wave& w, const Op& op, const Wait& wait) override {
    for (auto& m : all_) m->wait(w, op, wait);
  }
  void barrier_arrive(Wave& w, const Op& op) override {
    for (auto& m : all_) m->barrier_arrive(w, op);
  }
  void barrier_release(Workgroup& g) override {
    for (auto& m : all_) m->barrier_release(g);
  }
  void cache(Wave& w, const Op& op, CacheOp what, bool sc0, bool sc1) override {
    for (auto& m : all_) m->cache(w, op, what, sc0, sc1);
  }
  std::shared_ptr<const Counters> counters() const override {
    for (const auto& m : all_) {
      if (auto c = m->counters()) return c;
    }
    return nullptr;
  }

 private:
  Monitor* reader() const {
    for (const auto& m : all_) {
      if (m->stale()) return m.get();
    }
    return nullptr;
  }
  std::vector<std::shared_ptr<Monitor>> all_;
};

}  // namespace wavetile::emu
