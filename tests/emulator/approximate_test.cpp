// The instructions that AMD's hardware approximates stay within the bounds of approximate.h, measured against the
// host's long double, for every kind of argument: zeros, denormals, infinities, NaNs, random bits.
#include "emulator/approximate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include <fmt/format.h>

#include "codegen/testing/compile_ir.h"
#include "tests/emulator/kernel_run.h"

namespace wavetile::emu {
namespace {

constexpr int kGroups = 128, kItems = 32, kArguments = kGroups * kItems;

struct Format {
  const char* name;
  int bits, mantissa, lowest;  // the exponent of the smallest normal number
};
constexpr Format kHalf{"half", 16, 10, -14}, kFloat{"float", 32, 23, -126}, kDouble{"double", 64, 52, -1022};

long double sine(long double x) { return std::sin(std::fmod(x, 1.0L) * 6.283185307179586476925286766559L); }
long double cosine(long double x) { return std::cos(std::fmod(x, 1.0L) * 6.283185307179586476925286766559L); }
long double rcp(long double x) { return 1 / x; }
long double rsq(long double x) { return 1 / std::sqrt(x); }
long double root(long double x) { return std::sqrt(x); }
long double exp2(long double x) { return std::exp2(x); }
long double log2(long double x) { return std::log2(x); }

struct Function {
  const char *mnemonic, *intrinsic;
  Format format;
  long double (*exact)(long double);
  bool flushes = false, turns = false;
};
const Function kFunctions[] = {
    {"v_rcp_f32", "llvm.amdgcn.rcp.f32", kFloat, rcp, true},
    {"v_rsq_f32", "llvm.amdgcn.rsq.f32", kFloat, rsq, true},
    {"v_sqrt_f32", "llvm.amdgcn.sqrt.f32", kFloat, root, true},
    {"v_exp_f32", "llvm.amdgcn.exp2.f32", kFloat, exp2, true},
    {"v_log_f32", "llvm.amdgcn.log.f32", kFloat, log2, true},
    {"v_sin_f32", "llvm.amdgcn.sin.f32", kFloat, sine, false, true},
    {"v_cos_f32", "llvm.amdgcn.cos.f32", kFloat, cosine, false, true},
    {"v_rcp_f16", "llvm.amdgcn.rcp.f16", kHalf, rcp},
    {"v_rsq_f16", "llvm.amdgcn.rsq.f16", kHalf, rsq},
    {"v_sqrt_f16", "llvm.amdgcn.sqrt.f16", kHalf, root},
    {"v_exp_f16", "llvm.exp2.f16", kHalf, exp2},
    {"v_log_f16", "llvm.log2.f16", kHalf, log2},
    {"v_sin_f16", "llvm.amdgcn.sin.f16", kHalf, sine, false, true},
    {"v_cos_f16", "llvm.amdgcn.cos.f16", kHalf, cosine, false, true},
    {"v_rcp_f64", "llvm.amdgcn.rcp.f64", kDouble, rcp},
    {"v_rsq_f64", "llvm.amdgcn.rsq.f64", kDouble, rsq},
    {"v_sqrt_f64", "llvm.amdgcn.sqrt.f64", kDouble, root},
};

/// A kernel that applies it to kArguments values, each in 64 bits.
std::string kernel(const Function& f) {
  const std::string type = f.format.name;
  return fmt::format(
      R"(define amdgpu_kernel void @k(ptr addrspace(1) noalias %in, ptr addrspace(1) noalias %out) #0 {{
  %item = call i32 @llvm.amdgcn.workitem.id.x()
  %group = call i32 @llvm.amdgcn.workgroup.id.x()
  %first = mul i32 %group, {0}
  %i = add i32 %first, %item
  %from = getelementptr i64, ptr addrspace(1) %in, i32 %i
  %x = load {1}, ptr addrspace(1) %from, align 8
  %y = call {1} @{2}({1} %x)
  %to = getelementptr i64, ptr addrspace(1) %out, i32 %i
  store {1} %y, ptr addrspace(1) %to, align 8
  ret void
}}
attributes #0 = {{ nounwind "amdgpu-flat-work-group-size"="{0},{0}" "amdgpu-implicitarg-num-bytes"="0" }}
!0 = !{{}}
!llvm.module.flags = !{{!1}}
!1 = !{{i32 1, !"amdhsa_code_object_version", i32 500}}
)",
      kItems, type, f.intrinsic);
}

long double value(const Format& format, std::uint64_t bits) {
  const int exponents = format.bits - 1 - format.mantissa;
  const auto exponent = static_cast<int>(bits >> format.mantissa & ((1u << exponents) - 1));
  const std::uint64_t fraction = bits & ((std::uint64_t{1} << format.mantissa) - 1);
  const long double sign = bits >> (format.bits - 1) & 1 ? -1 : 1;
  if (exponent == (1 << exponents) - 1) return sign * (fraction ? NAN : INFINITY);
  if (exponent == 0) return sign * std::ldexp(static_cast<long double>(fraction), format.lowest - format.mantissa);
  return sign * std::ldexp(static_cast<long double>(fraction | std::uint64_t{1} << format.mantissa),
                           exponent - 1 + format.lowest - format.mantissa);
}

/// Arguments: special ones, small numbers and fractions, anything.
std::vector<std::uint64_t> arguments(const Format& format, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::uint64_t all = ~std::uint64_t{0} >> (64 - format.bits), sign = std::uint64_t{1} << (format.bits - 1),
                      infinity = sign - (std::uint64_t{1} << format.mantissa),
                      one = (std::uint64_t{1} << (format.bits - 2)) - (std::uint64_t{1} << format.mantissa);
  std::vector<std::uint64_t> x{0,
                               1,
                               one,
                               infinity,
                               infinity - 1,
                               infinity + 1,
                               std::uint64_t{1} << format.mantissa,
                               (std::uint64_t{1} << format.mantissa) - 1};
  for (std::size_t i = 0, n = x.size(); i < n; ++i) x.push_back(x[i] | sign);
  while (x.size() < kArguments) {
    const std::uint64_t bits = random() & all;
    // Every other one with an exponent near that of 1.
    const std::uint64_t near =
        one + (static_cast<std::uint64_t>(random() % 17) << format.mantissa) - (std::uint64_t{8} << format.mantissa);
    x.push_back(x.size() % 2 ? bits : (bits & (sign | ((std::uint64_t{1} << format.mantissa) - 1))) | near);
  }
  return x;
}

const Approximate& bound(std::string_view mnemonic) {
  for (const Approximate& a : approximate_instructions())
    if (a.mnemonic == mnemonic) return a;
  throw std::logic_error("no bound");
}

void expect_close(const Function& f, const std::string& chip, std::uint64_t in, std::uint64_t out) {
  const Format& format = f.format;
  const long double smallest = std::ldexp(1.0L, format.lowest),
                    largest = value(
                        format, (std::uint64_t{1} << (format.bits - 1)) - (std::uint64_t{1} << format.mantissa) - 1);
  long double x = value(format, in);
  if (f.flushes && std::fabs(x) < smallest) x = std::copysign(0.0L, x);
  if (f.turns && chip == "gfx942" && format.bits == 32 && std::fabs(x) > 256 && !std::isinf(x)) x = 0;
  const long double exact = f.exact(x), got = value(format, out);
  const std::string what = fmt::format("{} of {:#x} on {}: {:#x}", f.mnemonic, in, chip, out);
  if (std::isnan(exact)) {
    EXPECT_TRUE(std::isnan(got)) << what;
    return;
  }
  ASSERT_FALSE(std::isnan(got)) << what;
  if (f.flushes && std::fabs(exact) < smallest && got == 0) return;
  const Approximate& b = bound(f.mnemonic);
  const int exponent = exact == 0 ? format.lowest : std::max(std::ilogb(exact), format.lowest);
  const long double ulp = std::ldexp(1.0L, exponent - format.mantissa);
  if (std::isinf(got) || std::isinf(exact)) {  // past the largest, as far as that can be told
    EXPECT_EQ(std::signbit(got), std::signbit(exact)) << what;
    EXPECT_GT(std::fabs(exact), largest) << what;
    EXPECT_GE(std::fabs(got), largest) << what;
    return;
  }
  // The emulator itself rounds the exact value to f16, and is within a few ulp in f64.
  const double ulps = format.bits == 16 ? std::min(b.ulp, 0.51) : format.bits == 64 ? std::min(b.ulp, 2.0) : b.ulp;
  EXPECT_LE(std::fabs(got - exact), b.absolute + ulps * ulp) << what;
}

class Approximations : public ::testing::TestWithParam<const char*> {};

TEST_P(Approximations, StayWithinTheirBounds) {
  const std::string chip = GetParam();
  for (const Function& f : kFunctions) {
    const std::string ir = kernel(f);
    const int lanes = chip == "gfx942" ? 64 : 32;
    ASSERT_NE(compile_assembly(ir, chip, lanes, {}).find(f.mnemonic), std::string::npos) << f.mnemonic;
    const std::vector<char> file = compile_code_object(ir, chip, lanes, {});
    const std::vector<std::uint64_t> in = arguments(f.format, 7);
    emu::testing::KernelRun run;
    run.file.resize(file.size());
    std::memcpy(run.file.data(), file.data(), file.size());
    run.chip = chip, run.groups = kGroups, run.items = kItems;
    run.buffers = {{std::vector<std::uint32_t>(2 * kArguments)}, {std::vector<std::uint32_t>(2 * kArguments)}};
    std::memcpy(run.buffers[0].words.data(), in.data(), 8 * in.size());
    const Outcome outcome = emu::testing::run_kernel(run);
    ASSERT_TRUE(outcome.completed) << emu::testing::texts(outcome);
    for (std::size_t i = 0; i < in.size(); ++i) {
      std::uint64_t out = 0;
      std::memcpy(&out, &run.buffers[1].words[2 * i], 8);
      expect_close(f, chip, in[i], out);
      if (::testing::Test::HasFailure()) return;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Chips, Approximations, ::testing::Values("gfx1151", "gfx1100", "gfx942"));

}  // namespace
}  // namespace wavetile::emu
