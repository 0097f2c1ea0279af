// The sampling kernels against the interpreter, and against each other on all machines: what they choose must agree to
// the bit.
#include <cmath>

#include "dsl/interpret.h"
#include "kernels/sampling.h"
#include "kernels/schedules.h"
#include "tests/kernels/cases.h"

namespace wavetile {
namespace {

TEST(Sampling, MarkSeen) { check_subject(checks::mark_seen()); }
TEST(Sampling, AdjustLogits) { check_subject(checks::adjust_logits()); }
TEST(Sampling, LogSoftmaxStatistics) { check_subject(checks::log_softmax_statistics()); }
TEST(Sampling, WeighTokens) { check_subject(checks::weigh_tokens()); }

int64_t random_columns(bool few) { return random_extent(few ? 150 : chance(10) ? 3000 : 500); }
HostTensor result_of(const Machine& m, const Kernel& k, const Schedule& s, std::vector<HostTensor> tensors,
                     Known known) {
  run_on(m, k, s, tensors, {}, known);
  return tensors.back();
}
HostTensor interpreted(const Kernel& k, std::vector<HostTensor> tensors) {
  std::vector<TensorView> views;
  for (HostTensor& t : tensors) views.push_back(t.view());
  interpret(k.graph(), views, {});
  return tensors.back();
}
// The last tensor, as the interpreter, the first machine and then every other see it.
void check_choice(const Kernel& k, const std::vector<HostTensor>& tensors, double tolerance) {
  HostTensor want = interpreted(k, tensors), first = want;
  for (const Machine& m : machines()) {
    const Caps& caps = caps_of(*m.target);
    auto p = one_of({Placement::padded, Placement::scattered});
    std::vector<HostTensor> moved;
    for (const HostTensor& t : tensors) moved.push_back(placed(t, p));
    Schedule s = chance(2) ? kernels::sampling_schedule(caps) : checks::random_sampling_schedule(caps);
    if (!caps.simd) s.warps = std::min(one_of({1, 2, 4}), caps.max_warps);
    if (k.name() == "draw_token" && chance(3)) s.split = {{"col", static_cast<int>(random_int(1, 5))}};
    HostTensor got = result_of(m, k, s, moved, known_of(p));
    for (int64_t i = 0; i < want.elements(); ++i) {
      std::string where = m.name + ", row " + std::to_string(i) + "; WAVETILE_SEED=" + std::to_string(seed());
      ASSERT_TRUE(within(want.dtype, got.get(i), want.get(i), {tolerance, tolerance}))
          << where << ": " << got.get(i) << ", not " << want.get(i);
      if (&m == &machines()[0]) first = got;
      bool same = got.get(i) == first.get(i) || (std::isnan(got.get(i)) && std::isnan(first.get(i)));
      ASSERT_TRUE(same) << where << ": " << got.get(i) << " here, " << first.get(i) << " on the first machine";
    }
  }
}

TEST(Sampling, Threshold) {
  for (int i = 0; i < 20; ++i) {
    check_choice(kernels::sampling_threshold(), checks::threshold_tensors(random_int(1, 3), random_columns(i % 8 != 0)),
                 1e-6);
    if (HasFailure()) return;
  }
}

TEST(Sampling, Draw) {
  for (int i = 0; i < 20; ++i) {
    check_choice(kernels::draw_token(), checks::draw_tensors(random_int(1, 3), random_columns(i % 8 != 0)), 0);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace wavetile
