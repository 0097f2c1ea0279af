#include "models/gpt2/recorder.h"

#include <algorithm>

#include "models/gpt2/views.h"

namespace wavetile {

void Recorder::call(const Kernel& kernel, const std::vector<Operand>& tensors, const Schedule& schedule,
                    const std::string& label) {
  Work work;
  for (const Operand& t : tensors) work.bytes += bytes_of(t.view);
  call(kernel, tensors, schedule, label, work);
}

void Recorder::call(const Kernel& kernel, const std::vector<Operand>& tensors, const Schedule& schedule,
                    const std::string& label, std::function<Work()> work) {
  Call c{{}, {}, label, std::move(work)};
  for (const Operand& a : tensors) c.tensors.push_back(a.view);
  Signature sig = signature_of(c.tensors);
  for (size_t i = 0; i < sig.size(); ++i) {
    sig[i].alignment = std::min(sig[i].alignment, 16);  // more is worth nothing, and differs from buffer to buffer
    if (tensors[i].any >= 0) sig[i].extents[static_cast<size_t>(tensors[i].any)].reset();
  }
  c.module = compiler_.request(kernel, sig, change_ ? change_(schedule) : schedule);
  calls_.push_back(std::move(c));
}

void Recorder::finish(Program& program) {
  for (const Call& c : calls_) program.add(c.module.get(), c.tensors, {}, c.label, c.work);
  calls_.clear();
}

}  // namespace wavetile
