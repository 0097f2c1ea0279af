// Memory as LLVM IR: addresses, loads and stores, atomics, and what a workgroup does between barriers.
#include <string_view>

#include <fmt/format.h>

#include "emulator/fuzz/writer.h"

namespace wavetile::fuzz {
namespace {

constexpr const char* kOrderings[] = {"monotonic", "acquire", "acq_rel", "seq_cst"};
constexpr const char* kScopes[] = {"", "syncscope(\"agent\") ", "syncscope(\"workgroup\") "};
// The first nine give the same in whatever order.
constexpr const char* kAtomics[] = {"add",  "sub",  "and",  "or",   "xor",       "max",      "min",
                                    "umax", "umin", "nand", "xchg", "uinc_wrap", "udec_wrap"};
constexpr const char* kFloatAtomics[] = {"fadd", "fsub", "fmax", "fmin"};

// Without it LLVM expects memory on which some atomics do not work.
constexpr const char* kOwnInstruction =
    ", !amdgpu.no.fine.grained.memory !0, !amdgpu.no.remote.memory !0, !amdgpu.ignore.denormal.mode !0";

std::string when(const Statement& s, std::size_t ordering) {
  return fmt::format("{}{}", kScopes[s.immediates[ordering + 1]], kOrderings[s.immediates[ordering]]);
}

}  // namespace

std::string Writer::pointer(Space space) const {
  if (side_ == Side::host || space == Space::either) return "ptr";
  return space == Space::lds ? "ptr addrspace(3)" : space == Space::array ? "ptr addrspace(5)" : "ptr addrspace(1)";
}

// Arguments from `next` on: which place, and which of two memories.
std::string Writer::address(const Statement& s, Space space, std::int64_t offset, std::int64_t step,
                            std::int64_t places, std::size_t next) {
  std::string at = std::to_string(offset);
  if (places != 0) {
    line(fmt::format("{} = urem i32 {}, {}", name(s, "place"), value(s.arguments[next++]), places));
    line(fmt::format("{} = mul i32 {}, {}", name(s, "at"), name(s, "place"), step));
    if (space == Space::uniform)
      line(fmt::format("{} = add i32 {}, {}", name(s, "behind"), name(s, "at"), kUniformBytes - kUniformTable));
    at = name(s, space == Space::uniform ? "behind" : "at");
  }
  std::string base;
  switch (space) {
    case Space::input:
      base = "%my.in";
      break;
    case Space::uniform:
      base = "%uniform";
      break;
    case Space::own:
      base = "%own";
      break;
    case Space::lds:
      base = "%lds.own";
      break;
    case Space::array:
      base = fmt::format("%array{}", s.immediates[3]);
      break;
    case Space::either: {
      std::string own = "%own", lds = "%lds.own";
      if (side_ == Side::amd) {
        own = name(s, "own"), lds = name(s, "lds");
        line(fmt::format("{} = addrspacecast ptr addrspace(1) %own to ptr", own));
        line(fmt::format("{} = addrspacecast ptr addrspace(3) %lds.own to ptr", lds));
      }
      base = name(s, "base");
      line(fmt::format("{} = select i1 {}, ptr {}, ptr {}", base, value(s.arguments[next]), own, lds));
    }
  }
  line(fmt::format("{} = getelementptr i8, {} {}, i32 {}", name(s, "p"), pointer(space), base, at));
  return fmt::format("{} {}", pointer(space), name(s, "p"));
}

// NaNs as one, so that other types may read the bits.
std::string Writer::canonical(const Statement& s, Type type, const std::string& v, const std::string& part) {
  if (!type.is_float()) return v;
  const std::string test = name(s, part + "t"), result = name(s, part);
  line(fmt::format("{} = fcmp uno {} {}, zeroinitializer", test, text(type), v));
  line(fmt::format("{} = select {} {}, {} {}, {} {}", result, text(type.with(Kind::i1)), test, text(type),
                   literal(type, std::vector(type.lanes, quiet_nan(type.kind))), text(type), v));
  return result;
}

void Writer::load_or_store(const Statement& s) {
  const bool load = std::string_view(s.operation->name) == "load";
  const auto space = static_cast<Space>(s.immediates[0]);
  const std::int64_t align = s.immediates[2];
  const std::string to = address(s, space, s.immediates[1], align, s.immediates[4], load ? 0 : 1);
  const char* how = s.immediates[5] ? "volatile " : "";
  if (load) return line(fmt::format("%v{} = load {}{}, {}, align {}", s.value, how, text(s.type), to, align));
  const std::string v = canonical(s, s.type, value(s.arguments[0]), "c");
  line(fmt::format("store {}{} {}, {}, align {}", how, text(s.type), v, to, align));
}

void Writer::atomic(const Statement& s) {
  const bool compare = std::string_view(s.operation->name) == "compare_exchange";
  const auto space = static_cast<Space>(s.immediates[0]);
  const std::string to = address(s, space, s.immediates[1], s.type.bytes(), s.immediates[5], compare ? 2 : 1);
  const std::string type = text(s.type), order = when(s, 3);
  if (!compare)
    return line(fmt::format("%v{} = atomicrmw {} {}, {} {} {}, align {}", s.value, kAtomics[s.immediates[2]], to, type,
                            value(s.arguments[0]), order, s.type.bytes()));
  std::string expected = value(s.arguments[0]);
  if (s.immediates[2]) {  // one that succeeds
    expected = name(s, "there");
    line(fmt::format("{} = load {}, {}, align {}", expected, type, to, s.type.bytes()));
  }
  line(fmt::format("{} = cmpxchg {}, {} {}, {} {} {} monotonic, align {}", name(s, "pair"), to, type, expected, type,
                   value(s.arguments[1]), order, s.type.bytes()));
  line(fmt::format("{} = extractvalue {{{}, i1}} {}, 0", name(s, "old"), type, name(s, "pair")));
  line(fmt::format("{} = extractvalue {{{}, i1}} {}, 1", name(s, "done"), type, name(s, "pair")));
  line(fmt::format("{} = xor {} {}, -1", name(s, "not"), type, name(s, "old")));
  line(fmt::format("%v{} = select i1 {}, {} {}, {} {}", s.value, name(s, "done"), type, name(s, "not"), type,
                   name(s, "old")));
}

// On small integers, so that nothing is rounded or denormal and the hardware's own instruction may be used.
void Writer::float_atomic(const Statement& s) {
  const std::string to = address(s, static_cast<Space>(s.immediates[0]), s.immediates[1], 0, 0, 2), type = text(s.type);
  for (int i = 0; i < 2; ++i) {
    line(fmt::format("{} = ashr i32 {}, 24", name(s, fmt::format("i{}", i)),
                     value(s.arguments[static_cast<std::size_t>(i)])));
    line(fmt::format("{} = sitofp i32 {} to {}", name(s, fmt::format("f{}", i)), name(s, fmt::format("i{}", i)), type));
  }
  line(fmt::format("store {} {}, {}, align 8", type, name(s, "f0"), to));
  const bool free = side_ == Side::amd && s.immediates[3] % 2 == 0;
  line(fmt::format("{} = atomicrmw {} {}, {} {} {}, align 8{}", name(s, "old"), kFloatAtomics[s.immediates[2]], to,
                   type, name(s, "f1"), when(s, 3), free ? kOwnInstruction : ""));
  line(fmt::format("{} = load {}, {}, align 8", name(s, "new"), type, to));
  line(fmt::format("%v{} = fadd {} {}, {}", s.value, type, name(s, "old"), name(s, "new")));
}

// By the hardware's own instruction: LLVM's loops of compare-and-exchange begin with an ordinary load, which races.
void Writer::shared_atomic(const Statement& s) {
  line(fmt::format("{} = and i32 {}, 3", name(s, "cell"), value(s.arguments[1])));
  line(fmt::format("{} = getelementptr {}, {} %shared, i32 {}", name(s, "base"), text(s.type), pointer(Space::own),
                   name(s, "cell")));
  line(fmt::format("{} = getelementptr i8, {} {}, i32 {}", name(s, "p"), pointer(Space::own), name(s, "base"),
                   s.immediates[0]));
  line(fmt::format(
      "{} = atomicrmw {} {} {}, {} {} {}, align {}{}", name(s, "old"), kAtomics[s.immediates[1]], pointer(Space::own),
      name(s, "p"), text(s.type), value(s.arguments[0]),
      fmt::format("{}{}", s.immediates[3] == 2 ? kScopes[1] : kScopes[s.immediates[3]], kOrderings[s.immediates[2]]),
      s.type.bytes(), side_ == Side::amd ? kOwnInstruction : ""));
}

void Writer::barrier() {
  if (side_ == Side::host) return line("call void @fz_barrier()");
  line("fence syncscope(\"workgroup\") release");
  line("call void @llvm.amdgcn.s.barrier()");
  line("fence syncscope(\"workgroup\") acquire");
}

void Writer::exchange_lds(const Statement& s) {
  const std::string lds = side_ == Side::amd ? fmt::format("@{}.lds", function_name(program_)) : "%lds";
  const std::string v = canonical(s, s.type, value(s.arguments[0]), "c");
  auto at = [&](const std::string& part, const std::string& item) {
    line(fmt::format("{} = mul i32 {}, 16", name(s, part + "m"), item));
    line(fmt::format("{} = add i32 {}, {}", name(s, part + "a"), name(s, part + "m"), kExchangeAt));
    line(fmt::format("{} = getelementptr i8, {} {}, i32 {}", name(s, part), pointer(Space::lds), lds,
                     name(s, part + "a")));
    return fmt::format("{} {}", pointer(Space::lds), name(s, part));
  };
  // LLVM may lose a half of what is loaded: it travels in whole words.
  const int bits = s.type.bits() * s.type.lanes;
  const bool whole = bits % 32 == 0 || s.type.bits() != 16;
  std::string travels = text(s.type), sent = v;
  if (!whole) {
    travels = fmt::format("i{}", (bits + 31) / 32 * 32);
    line(fmt::format("{} = bitcast {} {} to i{}", name(s, "bits"), text(s.type), v, bits));
    line(fmt::format("{} = zext i{} {} to {}", name(s, "words"), bits, name(s, "bits"), travels));
    sent = name(s, "words");
  }
  line(fmt::format("store {} {}, {}, align 16", travels, sent, at("mine", "%item")));
  barrier();
  line(fmt::format("{} = and i32 {}, {}", name(s, "who"), value(s.arguments[1]), kGroupItems - 1));
  const std::string theirs = at("theirs", name(s, "who"));
  // Volatile: LLVM may move another load behind the barrier.
  const std::string loaded = whole ? fmt::format("%v{}", s.value) : name(s, "loaded");
  line(fmt::format("{} = load volatile {}, {}, align 16", loaded, travels, theirs));
  barrier();
  if (whole) return;
  line(fmt::format("{} = trunc {} {} to i{}", name(s, "cut"), travels, loaded, bits));
  line(fmt::format("%v{} = bitcast i{} {} to {}", s.value, bits, name(s, "cut"), text(s.type)));
}

void Writer::cells(const Statement& s) {
  const std::string lds = side_ == Side::amd ? fmt::format("@{}.lds", function_name(program_)) : "%lds";
  auto cell = [&](const std::string& part, const std::string& which) {
    line(fmt::format("{} = and i32 {}, 15", name(s, part + "w"), which));
    line(fmt::format("{} = getelementptr i32, {} {}, i32 {}", name(s, part + "b"), pointer(Space::lds), lds,
                     name(s, part + "w")));
    line(fmt::format("{} = getelementptr i8, {} {}, i32 {}", name(s, part), pointer(Space::lds), name(s, part + "b"),
                     kCellsAt));
    return fmt::format("{} {}", pointer(Space::lds), name(s, part));
  };
  // Each of 16 cells is set by one of the first work-items.
  const std::string first = cell("first", "%item"), prefix = fmt::format("b{}", s.value);
  line(fmt::format("{} = icmp ult i32 %item, 16", name(s, "sets")));
  line(fmt::format("br i1 {}, label %{}.set, label %{}.go", name(s, "sets"), prefix, prefix));
  label(prefix + ".set");
  line(fmt::format("store i32 %item, {}, align 4", first));
  line(fmt::format("br label %{}.go", prefix));
  label(prefix + ".go");
  barrier();
  const std::string counted = cell("counted", value(s.arguments[1]));
  line(fmt::format("{} = atomicrmw {} {}, i32 {} syncscope(\"workgroup\") monotonic, align 4", name(s, "old"),
                   kAtomics[s.immediates[0]], counted, value(s.arguments[0])));
  barrier();
  const std::string read = cell("read", value(s.arguments[2]));
  line(fmt::format("%v{} = load volatile i32, {}, align 4", s.value, read));
  barrier();
}

void Writer::output(const Statement& s) {
  std::string v = value(s.arguments[0]);
  Type type = s.type;
  const std::string at = fmt::format("%out{}", s.immediates[0]);
  line(fmt::format("{} = getelementptr i8, {} %out, i32 {}", at, pointer(Space::own), s.immediates[0]));
  if (type.kind == Kind::i1) {
    const Type byte = type.with(Kind::i8);
    line(fmt::format("{}.byte = zext {} {} to {}", at, text(type), v, text(byte)));
    v = at + ".byte", type = byte;
  }
  line(fmt::format("store {} {}, {} {}, align {}", text(type), v, pointer(Space::own), at, s.immediates[1]));
}

}  // namespace wavetile::fuzz
