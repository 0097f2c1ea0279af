#include "emulator/program.h"

#include "emulator/arena.h"

namespace wavetile::emu {

struct Program::State {
  std::mutex mutex;
  Decoder decoder;
  Arena arena;
  const Chip& chip;
  int lanes;
  std::span<const std::byte> code;

  State(const Chip& chip, int lanes, std::span<const std::byte> code)
      : decoder(chip, lanes), chip(chip), lanes(lanes), code(code) {}
};

Program::Program(const Chip& chip, int lanes, std::span<const std::byte> code)
    : base(reinterpret_cast<std::uint64_t>(code.data())),
      dwords(code.size() / 4),
      slots(std::make_unique<std::atomic<const Op*>[]>(dwords)),
      state_(std::make_unique<State>(chip, lanes, code)) {}

Program::~Program() = default;

const Op* Program::decode(std::uint64_t pc) {
  State& s = *state_;
  const std::scoped_lock lock(s.mutex);
  if (const Op* op = slots[pc].load(std::memory_order_relaxed)) return op;
  auto instruction = s.decoder.decode(s.code.subspan(pc * 4), address(pc));
  if (!instruction) return nullptr;
  const Instruction& kept = s.arena.instructions.emplace_back(std::move(*instruction));
  const BindContext context{s.chip, s.lanes, first_spare_row(s.chip), s.arena};
  Op* op = make_op(s.arena);
  *op = bind(kept, context);
  slots[pc].store(op, std::memory_order_release);
  return op;
}

std::unique_ptr<Fragment> make_fragment(const Chip& chip, int lanes, std::span<const std::byte> code, Memory& memory,
                                        unsigned lds_bytes, unsigned private_bytes) {
  auto f = std::make_unique<Fragment>();
  f->code.assign(code.begin(), code.end());
  f->program = std::make_unique<Program>(chip, lanes, f->code);
  f->dispatch.name = "fragment";
  f->launch.dispatch = &f->dispatch;
  f->launch.chip = &chip;
  f->launch.memory = &memory;
  f->launch.program = f->program.get();
  f->launch.sink = &f->sink;
  f->launch.kernel = "fragment";
  f->launch.lanes = lanes;
  f->launch.vgprs = chip.max_vgprs;
  f->launch.agprs = chip.accumulation_vgprs ? chip.max_vgprs : 0;
  f->launch.sgprs = chip.sgprs;
  f->launch.private_bytes = private_bytes;
  f->launch.group_bytes = lds_bytes;
  f->launch.workgroups = {1, 1, 1};
  f->launch.waves_per_workgroup = 1;
  f->workgroup.lds.assign(lds_bytes, 0);
  f->workgroup.scratch.assign(std::size_t{private_bytes} * static_cast<std::size_t>(lanes), 0);
  f->workgroup.registers =
      Rows(static_cast<std::size_t>(first_spare_row(chip) + kSpareRows) * static_cast<std::size_t>(lanes));
  f->workgroup.registers.fill(0);
  auto wave = std::make_unique<Wave>();
  wave->vgprs = f->workgroup.registers.data();
  wave->scratch = f->workgroup.scratch.data();
  wave->launch = &f->launch;
  wave->workgroup = &f->workgroup;
  wave->lanes = lanes;
  wave->set_lane_mask(kExec, wave->all_lanes());
  f->workgroup.waves.push_back(std::move(wave));
  return f;
}

bool run_fragment(Fragment& f, std::uint64_t limit) {
  Wave& w = f.wave();
  // A wave alone never waits: a barrier releases it, a sleep ends at once.
  while (w.executed < limit && w.status != Status::ended && w.status != Status::faulted) {
    w.status = Status::ready;
    run_wave(w, limit - w.executed);
  }
  f.reports = f.sink.take();
  return w.status == Status::ended;
}

}  // namespace wavetile::emu
