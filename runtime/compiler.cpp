#include "runtime/compiler.h"

#include <chrono>
#include <system_error>

#include "runtime/thread_pool.h"

namespace wavetile {

Compiler::Compiler(DevicePtr device, DumpTo dump, const CacheOptions& cache)
    : device_(std::move(device)), dump_(std::move(dump)), cache_(cache, device_->target()) {}

Compiler::~Compiler() {
  for (auto& f : running_) f.wait();
}

std::shared_future<ModulePtr> Compiler::request(const Kernel& k, const Signature& sig, const Schedule& s) {
  std::string key = kernel_key(k.graph(), sig, s);
  if (auto it = modules_.find(key); it != modules_.end()) return it->second;
  // No more at a time than there are CPUs: the oldest has to finish first.
  if (running_.size() >= static_cast<size_t>(available_cpus())) {
    running_.front().wait();
    running_.erase(running_.begin());
  }
  auto work = [this, key, k, sig, s] {
    auto start = std::chrono::steady_clock::now();
    ModulePtr m = build(key, k, sig, s);
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return m;
  };
  std::shared_future<ModulePtr> f;
  try {
    f = std::async(std::launch::async, work).share();
    running_.push_back(f);
  } catch (const std::system_error&) {  // there is no thread to be had: whoever waits for the kernel compiles it
    f = std::async(std::launch::deferred, work).share();
  }
  modules_.emplace(std::move(key), f);
  return f;
}

ModulePtr Compiler::build(const std::string& key, const Kernel& k, const Signature& sig, const Schedule& s) {
  if (dump_.directory.empty())
    if (auto kept = cache_.find(key, k.graph(), sig, s)) return device_->load(std::move(*kept));
  CompiledKernel c = compile(k, sig, s, device_->target(), dump_);
  cache_.store(key, c);
  return device_->load(std::move(c));
}

}  // namespace wavetile
