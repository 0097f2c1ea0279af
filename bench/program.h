// What the programs of this folder do with errors: one line on standard error, and exit code 1.
#pragma once

#include <exception>

#include <fmt/format.h>

namespace wavetile::bench {

inline int run_program(const char* name, int (*run)(int, char**), int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}: {}\n", name, e.what());
    return 1;
  }
}

}  // namespace wavetile::bench
