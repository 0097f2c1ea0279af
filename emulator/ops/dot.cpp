#include "emulator/op.h"
namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
void add_dot(Table&) {}
}
