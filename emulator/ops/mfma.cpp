// Moves of accumulation registers.
#include "emulator/ops/matrix.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

void add_matrix(Table& t) {
  add_wmma(t);
  for (const char* name : {"v_accvgpr_read_b32", "v_accvgpr_write_b32", "v_accvgpr_mov_b32"}) {
    t.add(name, vector([](std::uint32_t x) { return x; }));
  }
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
