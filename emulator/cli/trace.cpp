#include "emulator/cli/trace.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "emulator/program.h"

namespace wavetile::emu {
namespace {

std::string scalar_name(int reg) {
  if (reg == kVcc) return "vcc_lo";
  if (reg == kVcc + 1) return "vcc_hi";
  if (reg == kM0) return "m0";
  if (reg == kNull) return "null";
  if (reg == kExec) return "exec_lo";
  if (reg == kExec + 1) return "exec_hi";
  if (reg >= kTtmp0 && reg < kM0) return fmt::format("ttmp{}", reg - kTtmp0);
  return fmt::format("s{}", reg);
}

std::string lane_values(const Wave& w, int row, int lanes) {
  std::string text;
  for (int i = 0; i < std::min(lanes, w.lanes); ++i) {
    const std::uint32_t v = w.row(row)[i];
    text += fmt::format(" {:08x} ({:.6g})", v, std::bit_cast<float>(v));
  }
  return text + (lanes < w.lanes ? " …" : "");
}

// "v5: …" for each register of the range.
std::string range_text(const Wave& w, const RegisterRange& r, int lanes) {
  std::string text;
  for (int i = 0; i < r.count; ++i) {
    const int reg = r.first + i;
    if (r.file == File::vgpr) text += fmt::format("      v{}:{}\n", reg, lane_values(w, reg, lanes));
    if (r.file == File::agpr) text += fmt::format("      a{}:{}\n", reg, lane_values(w, kVgprs + reg, lanes));
    if (r.file == File::sgpr && reg != kNull) text += fmt::format("      {}: {:08x}\n", scalar_name(reg), w.s[reg]);
    if (r.file == File::scc) text += fmt::format("      scc: {}\n", w.scc ? 1 : 0);
  }
  return text;
}

std::uint64_t offset(const Wave& w, const Op& op) {
  return op.instruction->address - w.launch->program->base - w.launch->entry_offset;
}

}  // namespace

void Trace::before(Wave& w, const Op& op) {
  if (!watched(w)) return;
  seen_ = true;
  if (what_.stop && offset(w, op) == *what_.stop) {
    fmt::print(out_, "stopped before +{:#06x}  {}\n", offset(w, op), op.instruction->text);
    print_registers(w);
    stopped_ = true;
    w.status = Status::faulted;
    return;
  }
  if (what_.instructions) {
    fmt::print(out_, "+{:#06x}  exec {:0{}x}  {}\n", offset(w, op), w.exec, w.lanes / 4, op.instruction->text);
  }
}

void Trace::after(Wave& w, const Op& op) {
  if (!what_.instructions || !watched(w)) return;
  for (const RegisterRange& r : op.instruction->writes) fmt::print(out_, "{}", range_text(w, r, what_.lanes));
}

void Trace::print_registers(const Wave& w) const {
  auto print = [&](File file, int reg) {
    fmt::print(out_, "{}", range_text(w, {file, static_cast<std::uint16_t>(reg), 1}, what_.lanes));
  };
  for (int reg = 0; reg < kScalars; ++reg) {
    if (reg < w.launch->sgprs || reg >= kVcc) print(File::sgpr, reg);
  }
  fmt::print(out_, "      scc: {}\n", w.scc ? 1 : 0);
  for (int reg = 0; reg < w.launch->vgprs; ++reg) print(File::vgpr, reg);
  for (int reg = 0; reg < w.launch->agprs; ++reg) print(File::agpr, reg);
}

}  // namespace wavetile::emu
