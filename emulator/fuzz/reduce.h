// A failing program made small: what can be left out, or replaced by something simpler, while it still fails.
#pragma once

#include <functional>

#include "emulator/fuzz/program.h"

namespace wavetile::fuzz {

/// `fails` must hold for `program`. Asks it at most `most` times.
Program reduce(const Program& program, const std::function<bool(const Program&)>& fails, int most = 1500);

}  // namespace wavetile::fuzz
