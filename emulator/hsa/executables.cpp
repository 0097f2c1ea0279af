#include "emulator/hsa/executables.h"

#include <cstdio>

#include <fmt/format.h>

#include "emulator/hsa/status.h"

namespace wavetile::emu::hsa {

Executables::~Executables() {
  for (auto& [handle, executable] : executables_) {
    for (auto& loaded : executable->loaded) emulator_.unload(loaded->object);
  }
}

std::uint64_t Executables::create_reader(Reader reader) {
  const std::lock_guard lock(mutex_);
  reader.handle = ++next_;
  const std::uint64_t handle = reader.handle;
  readers_.emplace(handle, std::pair(++readers_created_, std::move(reader)));
  return handle;
}

void Executables::destroy_reader(std::uint64_t handle) {
  const std::lock_guard lock(mutex_);
  require(readers_.erase(handle) == 1, HSA_STATUS_ERROR_INVALID_CODE_OBJECT_READER);
}

std::uint64_t Executables::create(hsa_profile_t profile, hsa_default_float_rounding_mode_t rounding, bool frozen) {
  auto e = std::make_unique<Executable>();
  e->profile = profile;
  e->rounding = rounding;
  e->frozen = frozen;
  const std::lock_guard lock(mutex_);
  e->handle = ++next_;
  e->number = ++created_;
  const std::uint64_t handle = e->handle;
  executables_.emplace(handle, std::move(e));
  return handle;
}

Executable& Executables::find(std::uint64_t handle) const {
  const auto it = executables_.find(handle);
  require(it != executables_.end(), HSA_STATUS_ERROR_INVALID_EXECUTABLE);
  return *it->second;
}

const ExecutableSymbol& Executables::find_symbol(std::uint64_t handle) const {
  const auto it = symbols_.find(handle);
  require(it != symbols_.end(), HSA_STATUS_ERROR_INVALID_EXECUTABLE_SYMBOL);
  return *it->second;
}

const Loaded& Executables::find_loaded(std::uint64_t handle) const {
  const auto it = loaded_.find(handle);
  require(it != loaded_.end(), HSA_STATUS_ERROR_INVALID_CODE_OBJECT);
  return *it->second;
}

void Executables::destroy(std::uint64_t handle) {
  const std::lock_guard lock(mutex_);
  Executable& e = find(handle);
  for (const auto& s : e.symbols) symbols_.erase(s->handle);
  for (const auto& l : e.loaded) {
    loaded_.erase(l->handle);
    emulator_.unload(l->object);
  }
  executables_.erase(handle);
}

void Executables::freeze(std::uint64_t handle) {
  const std::lock_guard lock(mutex_);
  Executable& e = find(handle);
  require(!e.frozen, HSA_STATUS_ERROR_FROZEN_EXECUTABLE);
  e.frozen = true;
}

void Executables::define(std::uint64_t handle, const char* name, void* address, bool constant, bool program) {
  const std::lock_guard lock(mutex_);
  Executable& e = find(handle);
  require(!e.frozen, HSA_STATUS_ERROR_FROZEN_EXECUTABLE);
  for (const auto& s : e.symbols) require(s->name != name, HSA_STATUS_ERROR_VARIABLE_ALREADY_DEFINED);
  auto s = std::make_unique<ExecutableSymbol>();
  s->handle = ++next_;
  s->name = name;
  s->address = reinterpret_cast<std::uint64_t>(address);
  s->global = true;
  s->constant = constant;
  s->defined_outside = true;
  s->program = program;
  symbols_[s->handle] = s.get();
  e.externals.emplace(name, s->address);
  e.symbols.push_back(std::move(s));
}

std::uint64_t Executables::load(std::uint64_t handle, std::uint64_t reader_handle) {
  const std::lock_guard lock(mutex_);
  Executable& e = find(handle);
  require(!e.frozen, HSA_STATUS_ERROR_FROZEN_EXECUTABLE);
  const auto it = readers_.find(reader_handle);
  require(it != readers_.end(), HSA_STATUS_ERROR_INVALID_CODE_OBJECT_READER);
  const Reader& reader = it->second.second;
  auto l = std::make_unique<Loaded>();
  try {
    // What the header says decides between "broken" and "for another device".
    const bool fits = code_object_chip(reader.bytes) == emulator_.chip().name;
    if (!fits) {
      fmt::print(stderr, "{}: made for {}, and the agent is a {}\n", reader.name, code_object_chip(reader.bytes),
                 emulator_.chip().name);
    }
    require(fits, HSA_STATUS_ERROR_INCOMPATIBLE_ARGUMENTS);
    l->object = emulator_.load(reader.bytes, reader.name, e.externals);
  } catch (const UndefinedSymbolError& error) {
    fmt::print(stderr, "{}: {}\n", reader.name, error.what());
    throw Refused{HSA_STATUS_ERROR_VARIABLE_UNDEFINED};
  } catch (const CodeObjectError& error) {
    fmt::print(stderr, "{}: {}\n", reader.name, error.what());
    throw Refused{HSA_STATUS_ERROR_INVALID_CODE_OBJECT};
  }
  l->handle = ++next_;
  l->executable = handle;
  l->file = reader.file;
  if (reader.file >= 0) {
    l->uri = fmt::format("file://{}#offset={}&size={}", reader.name, reader.file_offset, reader.bytes.size());
  } else {
    l->storage = reader.bytes.data();
    l->storage_bytes = reader.bytes.size();
    l->uri = reader.name;
  }
  try {
    add_symbols(e, *l);
  } catch (...) {
    emulator_.unload(l->object);
    throw;
  }
  loaded_[l->handle] = l.get();
  e.loaded.push_back(std::move(l));
  return e.loaded.back()->handle;
}

void Executables::add_symbols(Executable& e, const Loaded& loaded) {
  std::vector<std::unique_ptr<ExecutableSymbol>> fresh;
  const auto add = [&](ExecutableSymbol symbol) {
    for (const auto& s : e.symbols) {
      require(!s->global || !symbol.global || s->name != symbol.name, HSA_STATUS_ERROR_VARIABLE_ALREADY_DEFINED);
    }
    fresh.push_back(std::make_unique<ExecutableSymbol>(std::move(symbol)));
    fresh.back()->handle = ++next_;
  };
  for (const KernelInfo& k : loaded.object->kernels()) {
    ExecutableSymbol s;
    s.name = k.name + ".kd";
    s.kernel = &k;
    s.global = true;
    add(std::move(s));
  }
  for (const Symbol& variable : loaded.object->symbols()) {
    if (!variable.object) continue;
    const Allocation* a = emulator_.memory().find(variable.address, variable.bytes);
    ExecutableSymbol s;
    s.name = variable.name;
    s.address = variable.address;
    s.bytes = variable.bytes;
    s.global = variable.global;
    s.constant = a && !a->writable;
    add(std::move(s));
  }
  for (auto& s : fresh) {
    symbols_[s->handle] = s.get();
    e.symbols.push_back(std::move(s));
  }
}

std::vector<std::uint64_t> Executables::handles() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::uint64_t> result;
  for (const auto& [handle, e] : executables_) result.push_back(handle);
  return result;
}

std::uint64_t Executables::loaded_at(std::uint64_t address) const {
  const std::shared_lock lock(mutex_);
  for (const auto& [handle, l] : loaded_) {
    if (address - l->object->base() < l->object->bytes()) return handle;
  }
  return 0;
}

Executables::Launchable Executables::launchable(std::uint64_t kernel_object) const {
  const std::shared_lock lock(mutex_);
  for (const auto& [handle, l] : loaded_) {
    if (kernel_object - l->object->base() >= l->object->bytes()) continue;
    for (const KernelInfo& k : l->object->kernels()) {
      if (k.descriptor == kernel_object) return {k, l->object, find(l->executable).frozen};
    }
  }
  return {};
}

std::vector<std::string> Executables::live() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::string> result;
  for (const auto& [handle, r] : readers_) {
    result.push_back(
        fmt::format("code object reader {} ({} bytes, {})", r.first, r.second.bytes.size(), r.second.name));
  }
  for (const auto& [handle, e] : executables_) {
    std::size_t bytes = 0;
    for (const auto& l : e->loaded) bytes += l->object->bytes();
    result.push_back(fmt::format("executable {} ({} code objects, {} bytes)", e->number, e->loaded.size(), bytes));
  }
  return result;
}

}  // namespace wavetile::emu::hsa
