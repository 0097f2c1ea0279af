// Reports in the manner of AddressSanitizer's: one line that says what, then where in the code and in the grid.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "emulator/op.h"
#include "emulator/program.h"

namespace wavetile::emu {

Report make_report(const Wave& w, const Op* op, std::string kind, const std::string& what, int lane,
                   std::uint64_t data) {
  Report r;
  r.kind = std::move(kind);
  r.kernel = w.launch->kernel;
  r.workgroup = w.workgroup->id;
  r.wave = w.number;
  r.lane = lane;
  r.data = data;
  r.address = op && op->instruction ? op->instruction->address : w.launch->program->address(w.pc);
  r.text = fmt::format("== {}: {}\n", r.kind, what);
  const std::uint64_t offset = r.address - w.launch->program->base;
  r.text += fmt::format("   at kernel {} + {:#x}: {}\n", r.kernel, offset - w.launch->entry_offset,
                        op && op->instruction ? op->instruction->text : "(no instruction)");
  if (w.launch->line) {
    if (auto line = w.launch->line(r.address)) {
      r.file = line->file;
      r.line = line->line;
      r.text += fmt::format("   source {}:{}\n", r.file, r.line);
    }
  }
  r.text += fmt::format("   workgroup ({}, {}, {}), wave {}", r.workgroup[0], r.workgroup[1], r.workgroup[2], r.wave);
  if (lane >= 0) r.text += fmt::format(", lane {}", lane);
  if (data != 0) r.text += fmt::format(", address {:#x}", data);
  r.text += '\n';
  return r;
}

void fault(Wave& w, const Op& op, std::string kind, std::string what, int lane, std::uint64_t data) {
  if (w.status == Status::faulted) return;
  Report r = make_report(w, &op, std::move(kind), what, lane, data);
  r.fatal = true;
  w.status = Status::faulted;
  w.launch->sink->add(std::move(r));
}

void ReportSink::add(Report report) {
  const std::scoped_lock lock(mutex_);
  if (report.fatal) fatal_.store(true, std::memory_order_relaxed);
  const auto [at, fresh] = seen_.try_emplace({report.kind, report.address}, reports_.size());
  if (!fresh) {
    reports_[at->second].fatal |= report.fatal;
    ++reports_[at->second].times;
    return;
  }
  reports_.push_back(std::move(report));
}

std::vector<Report> ReportSink::take() {
  const std::scoped_lock lock(mutex_);
  seen_.clear();
  for (Report& r : reports_) {
    if (r.times > 1) r.text += fmt::format("   met {} times\n", r.times);
  }
  return std::exchange(reports_, {});
}

}  // namespace wavetile::emu
