// The state of write(): one function as it grows.
#pragma once

#include <map>
#include <set>
#include <string>

#include "emulator/fuzz/operation.h"
#include "emulator/fuzz/text.h"

namespace wavetile::fuzz {

class Writer {
 public:
  Writer(const Program& program, Side side) : program_(program), side_(side) {}
  std::string function();

 private:
  void line(const std::string& text) { out_ += "  " + text + "\n"; }
  void label(const std::string& name);
  void entry();
  void collect_constants(const Block& block);
  std::string value(int number) const;
  std::string name(const Statement& s, const std::string& part) const;

  void block(const Block& b);
  void statement(const Statement& s);
  /// Writes an operation's text (see operation.h).
  void expand(const std::string& text, const Statement& s);
  /// The same with f32 arguments and results flushed. Where a function flushes, LLVM may do so at each step or not, and
  /// has to only in llvm.canonicalize; with that around each step it makes no difference.
  void expand_flushed(const std::string& text, const Statement& s);
  void flush(const std::string& to, Type type, const std::string& from);
  /// What `mark`, the text at `at`, stands for; moves `at` behind it.
  std::string marked(const std::string& text, std::size_t& at, const Statement& s);
  std::string argument(const Statement& s, std::size_t i, char how);
  std::string opaque(const Statement& s, std::size_t i);
  std::string predicate(const Statement& s) const;
  std::string shuffle_mask(const Statement& s) const;
  void build(const Statement& s);

  // write_memory.cpp
  std::string pointer(Space space) const;  // its type
  std::string address(const Statement& s, Space space, std::int64_t offset, std::int64_t step, std::int64_t places,
                      std::size_t next);
  void load_or_store(const Statement& s);
  void atomic(const Statement& s);
  void float_atomic(const Statement& s);
  void shared_atomic(const Statement& s);
  void exchange_lds(const Statement& s);
  void cells(const Statement& s);
  void barrier();
  void output(const Statement& s);
  std::string canonical(const Statement& s, Type type, const std::string& v, const std::string& part);

  // write_control.cpp
  void choose(const Statement& s);
  void loop(const Statement& s);

  const Program& program_;
  const Side side_;
  std::string out_, at_;  // the text so far, the label that it is in
  std::map<int, std::string> constants_;
  std::set<int> computed_, risky_;      // of constants alone; those, and constants with zeros
  std::set<std::string> made_;          // helper values of the statement being written
  std::map<int, std::string> flushed_;  // its arguments, its result
};

/// Whether lanes meet in it.
bool crosses_lanes(const Block& block);

}  // namespace wavetile::fuzz
