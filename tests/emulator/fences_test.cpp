// What dispatches store, and the host's calls write, is read only after the fences that make it visible: dispatches of
// one device, whose packets have these and those scopes.
#include <gmock/gmock.h>

#include <array>

#include "tests/emulator/kernel_run.h"

namespace wavetile::emu::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Scope none = Scope::none, agent = Scope::agent, host = Scope::system;

// s[4:5]: the buffer; v1: 4 * item.
const std::string kBegin = "s_load_b64 s[4:5], s[0:1], 0x0\nv_lshlrev_b32 v1, 2, v0\ns_waitcnt lgkmcnt(0)\n";
const std::string kStore = kBegin + "global_store_b32 v1, v0, s[4:5]\n";
const std::string kUse =
    "s_waitcnt vmcnt(0) lgkmcnt(0)\nv_add_nc_u32 v3, v2, s6\nglobal_store_b32 v1, v3, s[4:5] offset:512\n";
const std::string kLoad = kBegin + "s_mov_b32 s6, 0\nglobal_load_b32 v2, v1, s[4:5]\n" + kUse;
const std::string kLoadScalar = kBegin + "v_mov_b32 v2, 0\ns_load_b32 s6, s[4:5], 0x0\n" + kUse;
const std::string kLoadAtomically = kBegin + "s_mov_b32 s6, 0\nglobal_load_b32 v2, v1, s[4:5] glc\n" + kUse;
const std::string kAcquireAndLoad =
    kBegin + "buffer_gl1_inv\nbuffer_gl0_inv\ns_mov_b32 s6, 0\nglobal_load_b32 v2, v1, s[4:5]\n" + kUse;

class Fences : public ::testing::Test {
 protected:
  Fences() {
    memory_.fill(7);
    arguments_[0] = reinterpret_cast<std::uint64_t>(memory_.data());
    emulator_.memory().add(memory_.data(), sizeof memory_, "memory", true, true);
    emulator_.memory().add(arguments_.data(), sizeof arguments_, "kernel arguments", false, true);
  }
  ~Fences() override {
    for (const auto& o : objects_) emulator_.unload(o);
  }
  static Options options() {
    Options o;
    o.checks = true;
    return o;
  }
  Outcome run(const std::string& body, const std::string& name, Scope acquire, Scope release) {
    objects_.push_back(emulator_.load(assemble_kernel("gfx1151", {.body = body}), "k.hsaco"));
    Dispatch d;
    d.kernel_object = objects_.back()->find_kernel("k")->descriptor;
    d.kernarg = reinterpret_cast<std::uint64_t>(arguments_.data());
    d.workgroup = {32, 1, 1};
    d.grid = {32, 1, 1};
    d.acquire = acquire;
    d.release = release;
    d.name = name;
    return emulator_.run(d);
  }
  std::vector<std::string> store(Scope acquire, Scope release) {
    return found(run(kStore, "writer", acquire, release));
  }
  std::vector<std::string> load(Scope acquire, Scope release = agent, const std::string& body = kLoad) {
    const Outcome o = run(body, "reader", acquire, release);
    text_ = texts(o);
    return found(o);
  }
  void host_writes() { emulator_.memory().host_wrote(arguments_[0], 128); }
  std::string host_reads() { return emulator_.check_host_read(arguments_[0], 128); }

  Emulator emulator_{options()};
  alignas(64) std::array<std::uint32_t, 1024> memory_{};
  alignas(64) std::array<std::uint64_t, 16> arguments_{};
  std::vector<std::shared_ptr<CodeObject>> objects_;
  std::string text_;
};

const char* const kMissing = "missing-fence: global_load_b32 v2, v1, s[4:5]";

TEST_F(Fences, WhatADispatchStoredIsReleasedAndAcquired) {
  store(host, agent);
  EXPECT_THAT(load(agent), IsEmpty());
  store(none, agent);
  EXPECT_THAT(load(none), ElementsAre(kMissing));
  EXPECT_THAT(
      text_,
      HasSubstr("reads memory that kernel writer stored, and no packet has acquired at the scope of the agent since"));
  EXPECT_THAT(text_, HasSubstr("bytes of memory"));
  EXPECT_THAT(load(agent), IsEmpty());
  store(agent, none);
  EXPECT_THAT(load(agent), ElementsAre(kMissing));
  EXPECT_THAT(text_, HasSubstr("kernel writer stored, and no packet has released it at the scope of the agent since"));
}

TEST_F(Fences, ThoseOfOtherPacketsServeToo) {
  store(host, none);
  emulator_.fence(none, agent);
  EXPECT_THAT(load(none), ElementsAre(kMissing));
  emulator_.fence(agent, none);
  EXPECT_THAT(load(none), IsEmpty());
  store(none, none);
  emulator_.fence(agent, agent);  // in one packet the acquire comes first
  EXPECT_THAT(load(none), ElementsAre(kMissing));
  EXPECT_THAT(load(agent), IsEmpty());
}

TEST_F(Fences, ScalarLoadsNeedThem) {
  store(host, agent);
  EXPECT_THAT(load(none, agent, kLoadScalar), ElementsAre("missing-fence: s_load_b32 s6, s[4:5], null"));
}

TEST_F(Fences, AtomicLoadsAndAcquiresOfTheKernelAreTrusted) {
  store(host, agent);
  EXPECT_THAT(load(none, agent, kLoadAtomically), IsEmpty());
  EXPECT_THAT(load(none, agent, kAcquireAndLoad), IsEmpty());
}

TEST_F(Fences, WhatItStoredItselfADispatchMayRead) {
  EXPECT_THAT(
      load(none, none, kStore + "s_waitcnt_vscnt null, 0x0\ns_mov_b32 s6, 0\nglobal_load_b32 v2, v1, s[4:5]\n" + kUse),
      IsEmpty());
}

TEST_F(Fences, WhatTheHostWroteIsAcquiredAtTheScopeOfTheSystem) {
  EXPECT_THAT(load(none), IsEmpty());  // nobody did
  host_writes();
  EXPECT_THAT(load(agent), ElementsAre(kMissing));
  EXPECT_THAT(
      text_,
      HasSubstr("reads memory that the host wrote, and no packet has acquired at the scope of the system since"));
  EXPECT_THAT(load(host), IsEmpty());
  EXPECT_THAT(load(none), IsEmpty());
}

TEST_F(Fences, WhatTheHostCopiesIsReleasedToIt) {
  host_writes();
  EXPECT_EQ(host_reads(), "");
  store(host, agent);
  EXPECT_THAT(host_reads(), HasSubstr("== missing-fence: the host copies memory that kernel writer stored, and no "
                                      "packet has released it at the scope of the system since"));
  emulator_.fence(none, host);
  EXPECT_EQ(host_reads(), "");
}

// Pages of which parts have several authors.
TEST_F(Fences, EachDwordHasItsOwnAuthor) {
  store(host, agent);
  EXPECT_THAT(load(agent), IsEmpty());
  emulator_.memory().host_wrote(arguments_[0] + 31 * 4, 4);
  const Outcome o = run(kLoad, "reader", agent, agent);
  ASSERT_THAT(found(o), ElementsAre(kMissing));
  EXPECT_EQ(o.reports[0].data, arguments_[0] + 31 * 4);
  emulator_.memory().host_wrote(arguments_[0], sizeof memory_);
  EXPECT_THAT(load(host), IsEmpty());
}

}  // namespace
}  // namespace wavetile::emu::testing
