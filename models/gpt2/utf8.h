// UTF-8, one character at a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace wavetile {

enum class Utf8 { whole, unfinished, invalid };
struct Utf8Step {
  Utf8 kind;
  size_t length;  // of the character, or of its longest valid prefix (at least 1)
};

/// The first character of a non-empty text, by table 3-7 of the Unicode standard (no overlong forms, no surrogates,
/// nothing past U+10FFFF).
Utf8Step utf8_step(std::string_view text);

}  // namespace wavetile
