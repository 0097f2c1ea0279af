// Random programs, free of undefined behaviour and poison.
#pragma once

#include "emulator/fuzz/operation.h"
#include "emulator/fuzz/program.h"

namespace wavetile::fuzz {

/// The program `number` of `seed`. Its `configurations` say where it can run.
Program generate(std::uint64_t seed, std::uint64_t number);

/// What program's buffers hold at the start.
struct Data {
  std::vector<std::uint8_t> input, uniform, own, shared;
};
Data make_data(const Program& program);

}  // namespace wavetile::fuzz
