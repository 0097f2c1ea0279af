// The emulator as its shells see it: a device that runs dispatches on memory that they registered.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emulator/chip.h"
#include "emulator/code_object.h"
#include "emulator/memory.h"

namespace wavetile::emu {

struct Report;

struct Options {
  const Chip* chip = find_chip("gfx1151");
  int compute_units = 0;  // how many; 0: as many as the chip has
  int threads = 0;        // host threads of a dispatch; 0: as many as there are processors. Checks use one.
  bool checks = false;    // all checks, except stale reads
  bool stale = false;     // with checks: caches of a compute unit keep old lines until they are invalidated
  bool counters = false;
  std::uint64_t max_instructions = 0;  // of a wave; 0: no limit. A wave that runs longer is reported.
  std::uint64_t seed = 1;              // of what uninitialised registers, LDS and scratch hold

  // A dispatch is stopped with a "deadlock" when no wave of any dispatch has done anything but wait for so long; 0:
  // never.
  std::optional<unsigned> deadlock_seconds;  // nothing: kDeadlockSeconds
  // When given, a dispatch whose waves merely wait goes on: the report goes here, once a dispatch, and nowhere else.
  // Workgroups that find no place stop it all the same. Called on the threads of the dispatch.
  std::function<void(const Report&)> waiting;
  /// For shells whose programs run on while a kernel waits, and may answer it late: unless the words said otherwise, a
  /// kernel that waits for 10 s is told of on standard error and goes on.
  void let_host_answer();

  bool reorder =
      false;            // of the HSA shell: packets without the barrier bit go before those that they need not wait for
  bool strict = false;  // of shells: the process ends with kStrictStatus if a kernel was reported or something leaked

  /// Reads the options from text as in $WAVETILE_EMULATOR: "gfx942,cus=4,memory=8G,checks,stale,counters,threads=2".
  /// Throws std::invalid_argument, naming the word and the words there are. memory is left to the shell.
  static Options parse(const std::string& text);
  std::uint64_t memory_bytes = std::uint64_t{16} << 30;  // of the emulated device
};

inline constexpr int kStrictStatus = 86;
inline constexpr unsigned kDeadlockSeconds = 5;

/// How far a fence of a packet reaches.
enum class Scope : std::uint8_t { none, agent, system };

/// A kernel launch, as an AQL packet says it. Sizes in work-items.
struct Dispatch {
  std::uint64_t kernel_object = 0;  // the address of a kernel descriptor
  std::uint64_t kernarg = 0;        // the address of the arguments
  std::array<std::uint32_t, 3> grid{1, 1, 1};
  std::array<std::uint16_t, 3> workgroup{1, 1, 1};
  std::uint32_t private_bytes = 0;   // scratch of a work-item
  std::uint32_t group_bytes = 0;     // LDS of a workgroup: static and dynamic
  std::uint64_t packet_address = 0;  // for kernels that ask for it; 0: the emulator makes one
  std::uint64_t queue_address = 0;   // 0: none
  std::uint32_t dispatch_id = 0;
  Scope acquire = Scope::system, release = Scope::system;  // the packet's fences: for the checks
  std::string name;                                        // for reports; empty: looked up
};

/// What went wrong in a kernel. `text` is a report ready to print, several lines; `kind` its class in one word, such as
/// "out-of-bounds", "race", "missing-wait", "unknown-instruction", "deadlock".
struct Report {
  std::string kind;
  std::string text;
  std::string kernel;
  std::uint64_t address = 0;  // of the instruction
  std::uint64_t data = 0;     // the address accessed, where there is one
  std::array<std::uint32_t, 3> workgroup{};
  int wave = 0, lane = 0;
  std::string file;  // the source line, where the code object has line tables
  int line = 0;
  bool fatal = false;       // the dispatch was stopped
  std::uint64_t times = 1;  // met at this instruction
};

struct Counters;
class Monitor;

struct Outcome {
  bool completed = false;                    // every wave reached its end
  std::vector<Report> reports;               // empty in a correct kernel
  std::shared_ptr<const Counters> counters;  // with Options::counters
  std::uint64_t instructions = 0;            // wave instructions executed
};

class Emulator {
 public:
  explicit Emulator(Options options);
  ~Emulator();
  Emulator(const Emulator&) = delete;
  Emulator& operator=(const Emulator&) = delete;

  const Options& options() const;
  const Chip& chip() const;
  int compute_units() const;
  Memory& memory();
  /// Loads a code object. It has to be unloaded before the emulator ends. Throws CodeObjectError.
  std::shared_ptr<CodeObject> load(std::span<const std::byte> file, std::string name,
                                   const ExternalSymbols& externals = {});
  /// Forgets decoded instructions of a code object; its memory goes with the last shared_ptr.
  void unload(const std::shared_ptr<CodeObject>& object);
  /// Lets kernels run from memory that someone else fills with code and that is registered with memory(). Such kernels
  /// are reported by the address of their descriptor.
  void add_code(const void* address, std::size_t bytes);
  /// Ends what add_code() began at `address`.
  void remove_code(const void* address);
  /// Forgets what was decoded of memory given to add_code(): its contents may have changed. Dispatches under way keep
  /// what they have decoded.
  void invalidate_code();
  /// Lets a monitor watch every dispatch from now on, beside the checks and the counters.
  void attach(std::shared_ptr<Monitor> monitor);
  /// Runs a dispatch to its end. Thread-safe: dispatches of several threads run at the same time and may wait for each
  /// other. Never throws on what a kernel does; a packet that the hardware would refuse gives a fatal report.
  /// `cancel`, when given, stops the dispatch soon after it becomes true.
  Outcome run(const Dispatch& dispatch, const std::atomic<bool>* cancel = nullptr);
  /// The fences of a packet that is no dispatch.
  void fence(Scope acquire, Scope release);
  /// With checks: a report on a range that the host's calls read, when no fence has made it the host's; else empty.
  std::string check_host_read(std::uint64_t address, std::size_t bytes) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace wavetile::emu
