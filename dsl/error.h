// Every failure a user can cause is a wavetile::Error whose text stands on its own: it names the place
// (file:line of a kernel, or path and field of a file), what was found, and what to do next.
// InternalError is ours: it names the pass and carries the IR.
#pragma once

#include <stdexcept>
#include <string>

namespace wavetile {

/// A source position in a kernel author's file. Captured by defaulted arguments; never hashed.
struct Loc {
  const char* file = "";
  int line = 0;

  static constexpr Loc here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
  std::string str() const { return std::string(file) + ":" + std::to_string(line); }
};

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& text) : std::runtime_error(text) {}
  Error(Loc loc, const std::string& text) : std::runtime_error(loc.str() + ": " + text) {}
};

class InternalError : public std::logic_error {
 public:
  explicit InternalError(const std::string& text) : std::logic_error("internal error: " + text) {}
};

}  // namespace wavetile
