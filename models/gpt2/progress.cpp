#include "models/gpt2/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace wavetile {
namespace {

constexpr int kWidth = 30;

// https://no-color.org: set and not empty.
bool wants_colour() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return !(no_color && *no_color) && !(term && std::string_view(term) == "dumb");
}

// A bar that cannot be drawn is no failure of what it tells about.
void draw(int fd, const std::string& text) { (void)!::write(fd, text.data(), text.size()); }

}  // namespace

Progress::Progress(std::string what, int fd)
    : what_(std::move(what)),
      fd_(fd),
      terminal_(::isatty(fd) == 1),
      colour_(wants_colour()),
      next_(clock::now() + std::chrono::milliseconds(200)) {}

void Progress::update(double fraction) {
  if (!terminal_ || clock::now() < next_) return;
  next_ = clock::now() + std::chrono::milliseconds(100);
  fraction = std::clamp(fraction, 0.0, 1.0);
  const int full = static_cast<int>(fraction * kWidth);
  std::string bar(static_cast<size_t>(full), '=');
  if (full < kWidth) bar += '>';
  draw(fd_, fmt::format("\r{} [{}{:<{}}{}] {:3.0f}%", what_, colour_ ? "\x1b[32m" : "", bar, kWidth,
                        colour_ ? "\x1b[0m" : "", fraction * 100));
  drawn_ = true;
}

void Progress::erase() {
  if (!drawn_) return;
  // "what [" bar "] 100%"
  draw(fd_, fmt::format("\r{:{}}\r", "", what_.size() + kWidth + 8));
  drawn_ = false;
}

}  // namespace wavetile
