// A bar on standard error while something long runs. Where standard error is not a terminal there is none: logs and
// pipes get no control characters.
#pragma once

#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>

namespace wavetile {

/// "reading  [=====>     ]  45%", drawn over itself at most ten times a second and first after a fifth of a second, so
/// that what is quick leaves no trace; erased in the end. In colour unless NO_COLOR is set or TERM is "dumb".
class Progress {
 public:
  explicit Progress(std::string what, int fd = STDERR_FILENO);
  ~Progress() { erase(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `fraction` from 0 to 1. Called from one thread at a time.
  void update(double fraction);
  /// Takes the bar away, for a message; the next update draws it again.
  void erase();
  /// update() as a function, valid while this object lives.
  std::function<void(double)> callback() {
    return [this](double fraction) { update(fraction); };
  }

 private:
  using clock = std::chrono::steady_clock;
  std::string what_;
  int fd_;
  bool terminal_, colour_;
  bool drawn_ = false;
  clock::time_point next_;
};

}  // namespace wavetile
