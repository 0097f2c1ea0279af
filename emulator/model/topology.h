// Which chip a GPU of the topology folder is: the runtime does not say.
#pragma once

#include <string>

#include "emulator/chip.h"

namespace wavetile::emu::model {

/// The chip of the `index`-th GPU of `folder`, as in $HSA_MODEL_TOPOLOGY. `override` is the text of
/// $HSA_OVERRIDE_GFX_VERSION, "11.0.0", which the runtime obeys too; empty: not set. Throws std::runtime_error.
const Chip& chip_of(const std::string& folder, int index, const std::string& override);

}  // namespace wavetile::emu::model
