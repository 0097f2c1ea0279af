#include "emulator/monitor.h"

namespace wavetile::emu {

std::shared_ptr<Monitor> make_monitor(const Options&) { return nullptr; }

}  // namespace wavetile::emu
