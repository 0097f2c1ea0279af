// Code object readers, executables, and their symbols. Handles are numbers that are never used twice.
#pragma once

#include <hsa/hsa.h>
#include <hsa/hsa_ven_amd_loader.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "emulator/emulator.h"

namespace wavetile::emu::hsa {

struct Reader {
  std::uint64_t handle = 0;
  std::span<const std::byte> bytes;  // the program's, or those of `owned`
  std::vector<std::byte> owned;      // of a file
  int file = -1;
  std::uint64_t file_offset = 0;
  std::string name;  // for reports
};

struct Loaded {
  std::uint64_t handle = 0, executable = 0;
  std::shared_ptr<CodeObject> object;
  int file = -1;
  const void* storage = nullptr;  // where the program keeps the code object, if in memory
  std::size_t storage_bytes = 0;
  std::string uri;
};

struct ExecutableSymbol {
  std::uint64_t handle = 0;
  std::string name;  // of a kernel with ".kd"
  const KernelInfo* kernel = nullptr;
  std::uint64_t address = 0, bytes = 0;  // of a variable
  bool global = false, constant = false;
  bool defined_outside = false;  // by a call, not by a code object
  bool program = false;          // the same for all agents
};

struct Executable {
  std::uint64_t handle = 0;
  std::uint64_t number = 0;  // in order of creation, from 1
  hsa_profile_t profile{};
  hsa_default_float_rounding_mode_t rounding{};
  bool frozen = false;
  ExternalSymbols externals;
  std::vector<std::unique_ptr<Loaded>> loaded;
  std::vector<std::unique_ptr<ExecutableSymbol>> symbols;
};

class Executables {
 public:
  explicit Executables(Emulator& emulator) : emulator_(emulator) {}
  ~Executables();

  std::uint64_t create_reader(Reader reader);
  void destroy_reader(std::uint64_t handle);

  std::uint64_t create(hsa_profile_t profile, hsa_default_float_rounding_mode_t rounding, bool frozen);
  void destroy(std::uint64_t handle);
  void freeze(std::uint64_t handle);
  void define(std::uint64_t handle, const char* name, void* address, bool constant, bool program);
  std::uint64_t load(std::uint64_t handle, std::uint64_t reader);

  // These run `use` on what a handle names, which nobody changes meanwhile, and return its result. They throw Refused
  // with the status of an invalid handle. `use` may read the tables again.
  template <typename Use>
  auto with(std::uint64_t handle, Use use) const {
    const std::shared_lock lock(mutex_);
    return use(std::as_const(find(handle)));
  }
  template <typename Use>
  auto with_symbol(std::uint64_t handle, Use use) const {
    const std::shared_lock lock(mutex_);
    return use(find_symbol(handle));
  }
  template <typename Use>
  auto with_loaded(std::uint64_t handle, Use use) const {
    const std::shared_lock lock(mutex_);
    return use(find_loaded(handle));
  }
  /// Handles, in order of creation, for callbacks that may call anything.
  std::vector<std::uint64_t> handles() const;
  /// The loaded code object that holds `address`; 0 when none does.
  std::uint64_t loaded_at(std::uint64_t address) const;
  /// The kernel of a packet's kernel_object, if its executable is frozen.
  struct Launchable {
    KernelInfo kernel;
    std::shared_ptr<CodeObject> object;  // nullptr: not found
    bool frozen = false;
  };
  Launchable launchable(std::uint64_t kernel_object) const;

  /// A line for each reader and executable that exists.
  std::vector<std::string> live() const;

 private:
  Executable& find(std::uint64_t handle) const;
  const ExecutableSymbol& find_symbol(std::uint64_t handle) const;
  const Loaded& find_loaded(std::uint64_t handle) const;
  void add_symbols(Executable& executable, const Loaded& loaded);

  Emulator& emulator_;
  mutable std::shared_mutex mutex_;  // of all below
  std::uint64_t next_ = 0x1000, readers_created_ = 0, created_ = 0;
  std::map<std::uint64_t, std::pair<std::uint64_t, Reader>> readers_;  // with their numbers
  std::map<std::uint64_t, std::unique_ptr<Executable>> executables_;
  std::map<std::uint64_t, ExecutableSymbol*> symbols_;
  std::map<std::uint64_t, Loaded*> loaded_;
};

}  // namespace wavetile::emu::hsa
