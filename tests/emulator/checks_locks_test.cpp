// Locks whose holders change a word of memory: right ones are not reported, and those that lack a release or an acquire
// are, at the access of the word.
#include <gmock/gmock.h>

#include <fmt/format.h>

#include "tests/emulator/compiler.h"
#include "tests/emulator/kernel_run.h"

namespace wavetile::emu::testing {
namespace {

using ::testing::HasSubstr;

enum class Lock { ticket, spin, exchange };

struct Orders {
  std::string acquire = "acquire", release = "release";
};

// Every workgroup adds one to word 64 of %a under the lock: a ticket in word 0 and who is served in word 32, or 1 in
// word 0 while it is held.
std::string lock_kernel(Lock lock, const Orders& o) {
  std::string take, leave = "store atomic i32 0, ptr addrspace(1) %a syncscope(\"agent\") " + o.release + ", align 4\n";
  std::string first, taken;
  if (lock == Lock::ticket) {
    first = "%t = atomicrmw add ptr addrspace(1) %a, i32 1 syncscope(\"agent\") monotonic\n";
    take = "%s = load atomic i32, ptr addrspace(1) %served syncscope(\"agent\") " + o.acquire +
           ", align 4\n%ok = icmp eq i32 %s, %t\n";
    leave = "%n = add i32 %t, 1\nstore atomic i32 %n, ptr addrspace(1) %served syncscope(\"agent\") " + o.release +
            ", align 4\n";
  } else if (lock == Lock::spin) {
    take = "%x = cmpxchg ptr addrspace(1) %a, i32 0, i32 1 syncscope(\"agent\") " + o.acquire +
           " monotonic\n%ok = extractvalue { i32, i1 } %x, 1\n";
  } else {
    take = "%x = atomicrmw xchg ptr addrspace(1) %a, i32 1 syncscope(\"agent\") " + o.acquire +
           "\n%ok = icmp eq i32 %x, 0\n";
    leave = "%y = atomicrmw xchg ptr addrspace(1) %a, i32 0 syncscope(\"agent\") " + o.release + "\n";
  }
  return fmt::format(R"(
declare i32 @llvm.amdgcn.workitem.id.x()
define amdgpu_kernel void @k(ptr addrspace(1) %a) #0 {{
  %id = call i32 @llvm.amdgcn.workitem.id.x()
  %served = getelementptr i32, ptr addrspace(1) %a, i32 32
  %word = getelementptr i32, ptr addrspace(1) %a, i32 64
  %one = icmp eq i32 %id, 0
  br i1 %one, label %begin, label %end
begin:
  {}
  br label %wait
wait:
  {}
  br i1 %ok, label %held, label %wait
held:
  %v = load i32, ptr addrspace(1) %word
  %w = add i32 %v, 1
  store i32 %w, ptr addrspace(1) %word
  {}
  br label %end
end:
  ret void
}}
attributes #0 = {{ "amdgpu-flat-work-group-size"="64,64" "amdgpu-implicitarg-num-bytes"="0" "amdgpu-no-workitem-id-y" "amdgpu-no-workitem-id-z" }}
)",
                     first, take, leave);
}

class Locks : public ::testing::TestWithParam<std::tuple<std::string, Lock>> {
 protected:
  std::vector<Report> run(const Orders& orders, std::uint32_t* sum = nullptr) {
    const auto& [chip, lock] = GetParam();
    KernelRun r;
    r.chip = chip;
    r.file = compile_ir(chip, lock_kernel(lock, orders));
    r.groups = 7;
    r.items = 64;
    r.buffers = {{std::vector<std::uint32_t>(128)}};
    const Outcome o = run_kernel(r);
    EXPECT_TRUE(o.completed) << texts(o);
    if (sum) *sum = r.buffers[0].words[64];
    return o.reports;
  }
  // Races, each at or with the word that the lock protects.
  void expect_payload(const std::vector<Report>& reports) {
    EXPECT_FALSE(reports.empty());
    for (const Report& r : reports) {
      EXPECT_EQ(r.kind, "race") << r.text;
      EXPECT_THAT(r.text, HasSubstr(" is 256 bytes inside ")) << r.text;
    }
  }
};

TEST_P(Locks, RightOnesAreNotReported) {
  std::uint32_t sum = 0;
  for (const Report& r : run({}, &sum)) ADD_FAILURE() << r.text;
  EXPECT_EQ(sum, 7u);
}

TEST_P(Locks, NoRelease) { expect_payload(run({.release = "monotonic"})); }
TEST_P(Locks, NoAcquire) { expect_payload(run({.acquire = "monotonic"})); }

std::string name_of(const ::testing::TestParamInfo<std::tuple<std::string, Lock>>& info) {
  const Lock lock = std::get<1>(info.param);
  return std::get<0>(info.param) + (lock == Lock::ticket ? "Ticket" : lock == Lock::spin ? "Spin" : "Exchange");
}

INSTANTIATE_TEST_SUITE_P(All, Locks,
                         ::testing::Combine(::testing::Values("gfx1151", "gfx942"),
                                            ::testing::Values(Lock::ticket, Lock::spin, Lock::exchange)),
                         name_of);

}  // namespace
}  // namespace wavetile::emu::testing
