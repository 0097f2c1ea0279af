// What the ops of a program point to.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "emulator/op.h"

namespace wavetile::emu {

struct Arena {
  std::deque<Op> ops;
  std::deque<Dpp> dpps;
  std::deque<Instruction> instructions;
  std::map<const Instruction*, std::string> why;  // instructions that could not be bound, and the reason
};

}  // namespace wavetile::emu
