// Order between dispatches, as the fences of packets make it. What is in memory may be read by a kernel
//
//   that a dispatch stored   once that has ended, a packet has released at the scope of the agent or wider (its own
//                            does), and after that one has acquired at such a scope (the reader's own does)
//   that the host wrote      once, after that, a packet has acquired at the scope of the system
//
// and may be copied by the host once a packet has released it at the scope of the system. The host here is the calls of
// the shell: what it does by itself is not seen.
//
// An acquire is good for all queues, and a release for all that has ended on any: what is reported is wrong, but not
// all that is wrong is reported. Dispatches that run at the same time are not checked against each other.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "emulator/emulator.h"
#include "emulator/memory.h"

namespace wavetile::emu::checks {

/// Who wrote last, and when: times count dispatches that begin, writes of the host, and acquires.
struct Author {
  std::uint32_t bits = 0;  // 0: nobody who has to be waited for
  static Author dispatch(std::uint32_t time) { return {time << 1}; }
  static Author host(std::uint32_t time) { return {time << 1 | 1}; }
  bool is_host() const { return (bits & 1) != 0; }
  std::uint32_t time() const { return bits >> 1; }
  bool operator==(const Author&) const = default;
};

/// What a dispatch may read.
struct View {
  std::uint32_t begun = 0;                 // its own time
  std::uint32_t dispatches = 0, host = 0;  // what wrote before may be read, but these dispatches:
  std::vector<std::uint32_t> unseen;
  std::vector<std::uint32_t> beside;  // dispatches that ran when it began

  bool sees(Author a) const {
    if (a.bits == 0) return true;
    if (a.is_host()) return a.time() < host || a.time() > begun;
    if (a.time() >= dispatches) return a.time() >= begun || contains(beside, a.time());
    return unseen.empty() || !contains(unseen, a.time()) || contains(beside, a.time());
  }
  static bool contains(const std::vector<std::uint32_t>& times, std::uint32_t time);
};

/// Of one device. Thread-safe.
class Fences {
 public:
  View begin(Scope acquire, const std::string& kernel);
  /// Of what begin() gave; else nothing.
  void end(const View& dispatch, Scope release);
  /// Of a packet that is no dispatch.
  void fence(Scope acquire, Scope release);
  /// By a call of the shell: the bytes count as initialised. In the dispatches' turn.
  void host_wrote(const Allocation& a, std::uint64_t address, std::uint64_t bytes);

  /// Why a dispatch does not see what the author wrote.
  std::string explain(Author a) const;
  /// A report on a range that the host may not copy yet; else empty. In the dispatches' turn.
  std::string check_host_read(const Memory& memory, std::uint64_t address, std::uint64_t bytes) const;

 private:
  void acquire(Scope scope);
  void release(Scope scope);
  std::string name(Author a) const;
  bool released_to_host(Author a) const;

  mutable std::mutex mutex_;
  std::uint32_t time_ = 0;
  std::uint32_t dispatches_ = 0, host_ = 0;  // the last acquires
  std::vector<std::uint32_t> unseen_;        // when `dispatches_` was
  std::set<std::uint32_t> running_, unreleased_, unreleased_to_host_;
  std::set<std::string> kernels_;
  std::deque<std::pair<std::uint32_t, const std::string*>> names_;  // of dispatches, by their times
};

}  // namespace wavetile::emu::checks
