#include "runtime/compiler.h"

#include <chrono>

#include <fmt/format.h>

#include "runtime/thread_pool.h"

namespace wavetile {
namespace {

std::string key_of(const Kernel& k, const Signature& sig, const Schedule& s) {
  std::string key = print(k.graph());
  for (const TensorSpec& t : sig) {
    key += fmt::format("|{} {}", name_of(t.dtype), t.alignment);
    for (const auto* list : {&t.extents, &t.strides})
      for (const auto& e : *list) key += e ? fmt::format(" {}", *e) : " ?";
  }
  for (const auto& [name, tile] : s.tile) key += fmt::format("|tile {} {}", name, tile);
  for (const auto& [name, parts] : s.split) key += fmt::format("|split {} {}", name, parts);
  for (const auto& [name, p] : s.packing) {
    key += fmt::format("|pack {} {}", name, p.streams);
    for (const auto& b : p.blocks) key += fmt::format(" {}/{}", b.dim, b.size);
  }
  for (const Walk& w : s.order) key += fmt::format("|walk {} {}", w.axis, w.run);
  return key + fmt::format("|warps {}", s.warps);
}

}  // namespace

Compiler::~Compiler() {
  for (auto& f : running_) f.wait();
}

std::shared_future<ModulePtr> Compiler::request(const Kernel& k, const Signature& sig, const Schedule& s) {
  std::string key = key_of(k, sig, s);
  if (auto it = modules_.find(key); it != modules_.end()) return it->second;
  // No more at a time than there are CPUs: the oldest has to finish first.
  if (running_.size() >= static_cast<size_t>(available_cpus())) {
    running_.front().wait();
    running_.erase(running_.begin());
  }
  auto work = [this, k, sig, s] {
    auto start = std::chrono::steady_clock::now();
    ModulePtr m = device_->load(compile(k, sig, s, device_->target(), dump_));
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return m;
  };
  std::shared_future<ModulePtr> f = std::async(std::launch::async, work).share();
  running_.push_back(f);
  modules_[key] = f;
  return f;
}

}  // namespace wavetile
