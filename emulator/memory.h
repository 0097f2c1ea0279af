// What kernels may address. Device addresses are host addresses: an allocation is a range of this process's memory, and
// an access that lies wholly inside one is legal. Every access is looked up, with checks on or off, so that no kernel
// can crash the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace wavetile::emu {

struct Allocation {
  std::uint64_t begin = 0, end = 0;  // byte addresses, [begin, end)
  std::string what;                  // for reports: "global memory", "kernel arguments", "code object k.hsaco", ...
  bool writable = true;              // by kernels
  bool initialised = false;          // every byte counts as written: host memory, code, whatever the host may write
  bool freed = false;                // kept, so that a late access can be told from a wild one
  std::uint64_t serial = 0;          // the order in which allocations were made
  // Of the checks alone: one state for every dword, owned here so that it lives as long as the range. See checks/.
  mutable std::shared_ptr<void> shadow;
};

/// Thread-safe. Allocations never move, and a pointer to one stays good until the Memory ends.
class Memory {
 public:
  Memory();
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// Makes a host range visible to kernels. `address` must outlive the matching remove(). Ranges must not overlap live
  /// ones (internal error otherwise); they may overlap freed ones, which are then forgotten.
  const Allocation* add(const void* address, std::size_t bytes, std::string what, bool writable = true,
                        bool initialised = false);
  /// Ends the range that begins at `address`; false when none does. Its description is kept for reports until another
  /// range takes its place.
  bool remove(const void* address);
  /// Asked by find() when no range holds what is sought: true when it has just added one that may. For memory that a
  /// shell learns of only by its use. Called on any thread; to be set before the first find().
  void set_resolver(std::function<bool(std::uint64_t address, std::size_t bytes)> resolver);
  /// The live range that holds all of [address, address + bytes), or nullptr.
  const Allocation* find(std::uint64_t address, std::size_t bytes) const;
  /// For a report on an address for which find() gave nothing: what it is, what is nearest, whether it was freed.
  std::string explain(std::uint64_t address, std::size_t bytes) const;
  /// Changes on every add and remove: whoever caches pointers to allocations compares it with what it read
  /// before its find().
  std::uint64_t version() const;
  std::vector<const Allocation*> live() const;
  /// The host wrote into a live range by a call of the shell (a copy, a fill): its bytes count as initialised. Heard by
  /// the listener, if there is one.
  void host_wrote(std::uint64_t address, std::size_t bytes) const;
  using WriteListener = std::function<void(const Allocation&, std::uint64_t address, std::size_t bytes)>;
  /// Before any thread uses the memory. Called from any thread.
  void set_write_listener(WriteListener listener);

 private:
  const Allocation* look_up(std::uint64_t address, std::size_t bytes) const;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace wavetile::emu
