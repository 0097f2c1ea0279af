// Operations across lanes. The host asks exchange() for the result, which waits for the other work-items of the wave.
#include "emulator/fuzz/exchange.h"
#include "emulator/fuzz/operation.h"

namespace wavetile::fuzz {
namespace {

constexpr Type i1{Kind::i1, 1}, i32{Kind::i32, 1}, i64{Kind::i64, 1};

std::string ask(Exchange kind, const std::string& value, const std::string& other, const std::string& a = "0",
                const std::string& b = "0") {
  return "call i64 @fz_exchange(i32 " + std::to_string(static_cast<int>(kind)) + ", i64 " + value + ", i64 " + other +
         ", i64 " + a + ", i64 " + b + ")";
}

/// Of 32-bit arguments; $y is the word that the host is given.
Operation word(const char* name, Exchange kind, int arguments, const std::string& amd, const std::string& a = "0",
               const std::string& b = "0") {
  Operation o;
  o.name = name, o.form = Form::fixed, o.weight = 2, o.result = i32;
  o.parameters.assign(static_cast<std::size_t>(arguments), i32);
  o.amd = amd;
  o.host = "$x1 = zext i32 $0 to i64\n";
  if (arguments > 1) o.host += "$x2 = zext i32 $1 to i64\n";
  o.host += "$x3 = " + ask(kind, "$x1", arguments > 1 ? "$x2" : "0", a, b) + "\n$r = trunc i64 $x3 to i32";
  o.across = true;
  return o;
}

std::vector<std::int64_t> dpp_control(Random& random, unsigned where) {
  std::vector<int> ranges{0, 1, 2, 3, 4, 5, 6};
  if (!(where & kRdna3)) ranges = {0, 1, 2, 3, 4, 5, 6, 7, 8, 8};
  if (!(where & kGfx942)) ranges = {0, 1, 2, 3, 4, 5, 6, 9, 9};
  static constexpr int waves[] = {0x130, 0x134, 0x138, 0x13c};
  int control = 0;
  switch (random.pick(ranges)) {
    case 0:
    case 1:
      control = random.below(256);
      break;
    case 2:
      control = 0x101 + random.below(15);
      break;
    case 3:
      control = 0x111 + random.below(15);
      break;
    case 4:
      control = 0x121 + random.below(15);
      break;
    case 5:
      control = 0x140 + random.below(2);
      break;
    case 6:
      control = 0x150 + random.below(16);
      break;
    case 7:
      control = waves[random.below(4)];
      break;
    case 8:
      control = 0x142 + random.below(2);
      break;
    default:
      control = 0x160 + random.below(16);
  }
  const int rows = random.percent(70) ? 15 : random.below(16), banks = random.percent(70) ? 15 : random.below(16);
  const int bound = random.below(2);
  // $#0 .. $#3 as the intrinsic takes them, $#4 as exchange() does; $#5 is that with all rows, all banks and bounds.
  return {control, rows, banks, bound, control | rows << 12 | banks << 16 | bound << 20, control | 15 << 12 | 31 << 16};
}

void add_dpp(std::vector<Operation>& t) {
  const char* move = "i32 $#0, i32 $#1, i32 $#2, i1 $#3)";
  Operation o =
      word("dpp", Exchange::dpp, 2,
           std::string("$x20 = xor i32 $0, %item\n$r = call i32 @llvm.amdgcn.update.dpp.i32(i32 $1, i32 $x20, ") + move,
           "$#4");
  // LLVM moves the other factor where what a DPP move is of is the same for all.
  o.unknown_argument = true;
  o.host.replace(0, 17, "$x20 = xor i32 $0, %item\n$x1 = zext i32 $x20");
  o.weight = 8, o.immediates = dpp_control;
  t.push_back(o);
  Operation wide = o;
  wide.name = "dpp_i64", wide.weight = 2, wide.result = i64, wide.parameters = {i64, i64};
  const std::string varied = "$x21 = zext i32 %item to i64\n$x20 = xor i64 $0, $x21\n";
  wide.amd = varied + "$r = call i64 @llvm.amdgcn.update.dpp.i64(i64 $1, i64 $x20, " + move;
  wide.host = varied + "$r = " + ask(Exchange::dpp, "$x20", "$1", "$#4");
  t.push_back(wide);
  // Folded into the arithmetic that uses it.
  struct Folded {
    const char *name, *old, *use;
    bool bound;
  };
  for (auto [name, old, use, bound] :
       {Folded{"dpp_add", "0", "$r = add i32 $x4, $1", true}, Folded{"dpp_sub", "0", "$r = sub i32 $x4, $1", true},
        Folded{"dpp_xor", "0", "$r = xor i32 $1, $x4", true}, Folded{"dpp_and", "-1", "$r = and i32 $1, $x4", false},
        Folded{"dpp_or", "0", "$r = or i32 $x4, $1", false},
        Folded{"dpp_umax", "0", "$r = call i32 @llvm.umax.i32(i32 $x4, i32 $1)", false},
        Folded{"dpp_umin", "-1", "$r = call i32 @llvm.umin.i32(i32 $x4, i32 $1)", false},
        Folded{"dpp_smax", "-2147483648", "$r = call i32 @llvm.smax.i32(i32 $x4, i32 $1)", false},
        Folded{"dpp_icmp", "0", "$x5 = icmp slt i32 $x4, $1\n$r = select i1 $x5, i32 $x4, i32 $1", true},
        Folded{"dpp_fadd", "0",
               "$x5 = bitcast i32 $x4 to float\n$x6 = bitcast i32 $1 to float\n$x7 = fadd float $x6, $x5\n"
               "$x8 = fcmp uno float $x7, 0.0\n$x9 = bitcast float $x7 to i32\n$r = select i1 $x8, i32 7, i32 $x9",
               true},
        Folded{"dpp_fmul", "0",
               "$x5 = bitcast i32 $x4 to float\n$x6 = bitcast i32 $1 to float\n$x7 = fmul float $x5, $x6\n"
               "$x8 = fcmp uno float $x7, 0.0\n$x9 = bitcast float $x7 to i32\n$r = select i1 $x8, i32 7, i32 $x9",
               true},
        Folded{"dpp_fma", "0",
               "$x5 = bitcast i32 $x4 to float\n$x6 = bitcast i32 $1 to float\n$x10 = fneg float $x5\n"
               "$x7 = call float @llvm.fma.f32(float $x10, float $x6, float 1.0)\n"
               "$x8 = fcmp uno float $x7, 0.0\n$x9 = bitcast float $x7 to i32\n$r = select i1 $x8, i32 7, i32 $x9",
               true},
        Folded{"dpp_fcmp", "0",
               "$x5 = bitcast i32 $x4 to float\n$x6 = bitcast i32 $1 to float\n$x7 = fcmp olt float $x5, $x6\n"
               "$r = select i1 $x7, i32 $1, i32 5",
               true}}) {
    Operation f = o;
    f.name = name, f.weight = 1, f.f32_inside = std::string_view(use).find("float") != std::string_view::npos;
    const std::string masks = bound ? "i32 15, i32 15, i1 true)" : "i32 $#1, i32 $#2, i1 false)";
    f.amd = std::string("$x20 = xor i32 $0, %item\n$x4 = call i32 @llvm.amdgcn.update.dpp.i32(i32 ") + old +
            ", i32 $x20, i32 $#0, " + masks + "\n" + use;
    const std::string unsigned_old = old[0] == '0' ? "0" : old[1] == '1' ? "4294967295" : "2147483648";
    f.host = "$x20 = xor i32 $0, %item\n$x1 = zext i32 $x20 to i64\n$x2 = and i64 $#4, 1048575\n$x3 = " +
             ask(Exchange::dpp, "$x1", unsigned_old, bound ? "$#5" : "$x2") + "\n$x4 = trunc i64 $x3 to i32\n" + use;
    t.push_back(f);
  }
  // LLVM may move it into a branch that fewer lanes take: not past an asm.
  const std::string stays = "$r = call i32 asm sideeffect \"\", \"=v,0\"(i32 $x9)";
  Operation eight =
      word("dpp8", Exchange::dpp8, 1, "$x9 = call i32 @llvm.amdgcn.mov.dpp8.i32(i32 $0, i32 $#0)\n" + stays, "$#0");
  eight.chips = kRdna3;
  eight.immediates = [](Random& random, unsigned) { return std::vector<std::int64_t>{random.below(1 << 24)}; };
  t.push_back(eight);
  Operation folded = eight;
  folded.name = "dpp8_add", folded.parameters = {i32, i32};
  folded.amd = "$x4 = call i32 @llvm.amdgcn.mov.dpp8.i32(i32 $0, i32 $#0)\n$x9 = add i32 $x4, $1\n" + stays;
  folded.host = "$x1 = zext i32 $0 to i64\n$x3 = " + ask(Exchange::dpp8, "$x1", "0", "$#0") +
                "\n$x4 = trunc i64 $x3 to i32\n$r = add i32 $x4, $1";
  t.push_back(folded);
}

void add_rows(std::vector<Operation>& t) {
  for (auto [name, kind] :
       {std::pair{"permlane16", Exchange::permlane16}, std::pair{"permlanex16", Exchange::permlanex16}}) {
    Operation o = word(
        name, kind, 2,
        std::string("$r = call i32 @llvm.amdgcn.") + name + ".i32(i32 $1, i32 $0, i32 $#0, i32 $#1, i1 false, i1 $#2)",
        "$#3", "$#4");
    o.weight = 3, o.chips = kRdna3;
    o.immediates = [](Random& random, unsigned) {
      const std::uint64_t select = random.bits();
      const int bound = random.below(2);
      return std::vector<std::int64_t>{static_cast<std::int32_t>(select), static_cast<std::int32_t>(select >> 32),
                                       bound, static_cast<std::int64_t>(select), bound << 1};
    };
    t.push_back(o);
    Operation fetched = o;  // also from lanes that are off: their values are not defined, so that none may be
    fetched.name = name;
    fetched.amd.replace(fetched.amd.find("i1 false"), 8, "i1 true");
    fetched.whole_wave = true, fetched.weight = 1;
    t.push_back(fetched);
  }
  Operation halves = word("permlane64", Exchange::permlane64, 1, "$r = call i32 @llvm.amdgcn.permlane64.i32(i32 $0)");
  halves.chips = kRdna3 & kWave64, halves.whole_wave = true, halves.weight = 6;
  t.push_back(halves);
}

void add_crossbar(std::vector<Operation>& t) {
  t.push_back(word("bpermute", Exchange::bpermute, 2, "$r = call i32 @llvm.amdgcn.ds.bpermute(i32 $1, i32 $0)"));
  t.back().weight = 4, t.back().chips = 0b10101;
  // A wave64 of RDNA3 permutes each of its halves. LLVM does not know it, where the place is the same for all.
  Operation half = word("bpermute_half", Exchange::bpermute, 1, "");
  half.weight = 3, half.parameters = {i32, i32};
  const std::string inside =
      "$x7 = and i32 $1, 124\n$x8 = and i32 %item, 32\n$x9 = shl i32 $x8, 2\n$x10 = or i32 $x7, $x9\n";
  // What is the same for all LLVM takes for the result, also where it comes from a lane that is off.
  const std::string own = "$x20 = xor i32 $0, %item\n";
  half.amd = inside + own + "$r = call i32 @llvm.amdgcn.ds.bpermute(i32 $x10, i32 $x20)";
  half.host = inside + own +
              "$x1 = zext i32 $x20 to i64\n$x2 = zext i32 $x10 to i64\n$x3 = " + ask(Exchange::bpermute, "$x1", "$x2") +
              "\n$r = trunc i64 $x3 to i32";
  t.push_back(half);
  // Every lane sends to another.
  Operation push = word("permute", Exchange::permute, 1, "");
  const std::string to =
      "$x7 = call i32 @llvm.amdgcn.mbcnt.lo(i32 -1, i32 0)\n$x8 = xor i32 $x7, $#0\n$x9 = shl i32 $x8, 2\n";
  push.amd = to + "$r = call i32 @llvm.amdgcn.ds.permute(i32 $x9, i32 $0)";
  push.host =
      "$x7 = call i32 @fz_mbcnt_lo(i32 -1, i32 0)\n$x8 = xor i32 $x7, $#0\n$x9 = shl i32 $x8, 2\n"
      "$x1 = zext i32 $0 to i64\n$x2 = zext i32 $x9 to i64\n$x3 = " +
      ask(Exchange::permute, "$x1", "$x2") + "\n$r = trunc i64 $x3 to i32";
  push.chips = 0b00101;  // a wave of 32: mbcnt.lo is the lane's number
  push.immediates = [](Random& random, unsigned) { return std::vector<std::int64_t>{random.below(32)}; };
  t.push_back(push);
  Operation swizzle =
      word("swizzle", Exchange::swizzle, 1, "$r = call i32 @llvm.amdgcn.ds.swizzle(i32 $0, i32 $#0)", "$#0");
  swizzle.immediates = [](Random& random, unsigned) {
    return std::vector<std::int64_t>{random.percent(30) ? 0x8000 | random.below(256) : random.below(0x8000)};
  };
  swizzle.weight = 4;
  t.push_back(swizzle);
}

void add_uniform(std::vector<Operation>& t) {
  Operation first = word("read_first", Exchange::read_first, 1, "$r = call i32 @llvm.amdgcn.readfirstlane.i32(i32 $0)");
  first.weight = 4;
  t.push_back(first);
  Operation wide = first;
  wide.name = "read_first64", wide.weight = 1, wide.parameters = {i64}, wide.result = i64;
  wide.amd = "$r = call i64 @llvm.amdgcn.readfirstlane.i64(i64 $0)";
  wide.host = "$r = " + ask(Exchange::read_first, "$0", "0");
  t.push_back(wide);
  Operation one =
      word("read_lane", Exchange::read_lane, 1, "$r = call i32 @llvm.amdgcn.readlane.i32(i32 $0, i32 $#0)", "$#0");
  one.whole_wave = true;  // what a lane that is off holds is not defined
  one.immediates = [](Random& random, unsigned where) {
    return std::vector<std::int64_t>{random.below((where & ~kWave64) != 0 ? 32 : 64)};
  };
  t.push_back(one);
  // LLVM takes a NaN for different where a ballot is of 'fcmp one': it is always of some other comparison, and true.
  Operation ballot;
  ballot.name = "ballot", ballot.form = Form::fixed, ballot.weight = 4, ballot.result = i64, ballot.parameters = {i1};
  const std::string known = "$x8 = icmp ult i32 %group, 4096\n$x9 = and i1 $0, $x8\n";
  ballot.amd = known + "$r = call i64 @llvm.amdgcn.ballot.i64(i1 $x9)";
  ballot.host = known + "$x1 = zext i1 $x9 to i64\n$r = " + ask(Exchange::ballot, "$x1", "0");
  ballot.across = true;
  t.push_back(ballot);
  Operation compared = ballot;
  compared.weight = 2, compared.parameters = {i32, i32};
  compared.amd = "$x9 = icmp sle i32 $0, $1\n$r = call i64 @llvm.amdgcn.ballot.i64(i1 $x9)";
  compared.host = "$x9 = icmp sle i32 $0, $1\n$x1 = zext i1 $x9 to i64\n$r = " + ask(Exchange::ballot, "$x1", "0");
  t.push_back(compared);
  for (auto [name, kind] :
       {std::pair{"add", Exchange::add}, std::pair{"umin", Exchange::umin}, std::pair{"umax", Exchange::umax},
        std::pair{"min", Exchange::smin}, std::pair{"max", Exchange::smax}, std::pair{"and", Exchange::bit_and},
        std::pair{"or", Exchange::bit_or}, std::pair{"xor", Exchange::bit_xor}}) {
    Operation reduce = word("wave_reduce", kind, 1, "");
    // LLVM takes the sum of a constant for the constant, and may know that %item is equal to the argument.
    const std::string varied = "$x9 = xor i32 $0, %item\n";
    // Its loop may be put where SCC is alive: here it is not.
    reduce.amd = varied + "$x7 = call i32 asm sideeffect \"\", \"=v,0,~{scc}\"(i32 $x9)\n" +
                 "$x8 = call i32 @llvm.amdgcn.wave.reduce." + name +
                 ".i32(i32 $x7, i32 0)\n$r = call i32 asm sideeffect \"\", \"=s,0,~{scc}\"(i32 $x8)";
    reduce.host = varied + "$x1 = zext i32 $x9 to i64\n$x3 = " + ask(kind, "$x1", "0") + "\n$r = trunc i64 $x3 to i32";
    reduce.weight = 1, reduce.unknown_argument = true;
    reduce.broken = kAllChips, reduce.broken_levels = 1;  // there that does not help
    t.push_back(reduce);
    reduce.name = "wave_reduce_uniform", reduce.uniform_arguments = true;
    for (std::string* text_of : {&reduce.amd, &reduce.host})
      text_of->replace(0, varied.size(), "$x9 = xor i32 $0, %s0\n");
    t.push_back(reduce);
  }
}

}  // namespace

void add_lanes(std::vector<Operation>& t) {
  add_dpp(t);
  add_rows(t);
  add_crossbar(t);
  add_uniform(t);
}

}  // namespace wavetile::fuzz
