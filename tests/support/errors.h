// Errors whose text begins with a line of the test.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "dsl/error.h"

namespace wavetile {

inline std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}
inline std::string at(int line, const char* file = __builtin_FILE()) { return file + (":" + std::to_string(line)); }
/// By reference: `line` is set while `text` is made.
inline void expect(const std::string& text, const int& line, const std::vector<std::string>& phrases,
                   const char* file = __builtin_FILE()) {
  EXPECT_EQ(text.find(at(line, file) + ": "), 0u) << "line " << line << ", in\n" << text;
  for (const std::string& p : phrases) EXPECT_NE(text.find(p), std::string::npos) << "no '" << p << "' in\n" << text;
}

}  // namespace wavetile
