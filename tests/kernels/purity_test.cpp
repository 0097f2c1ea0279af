// The kernel library is written in the DSL alone: no LLVM, no intrinsics, no assembly, no loop over data.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wavetile {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Comments and the contents of literals become blanks; lines keep their numbers. The names of includes stay.
std::string code_of(const std::string& text) {
  static const std::regex quiet(
      R"re(//[^\n]*|/\*[^]*?\*/|R"(\w*)\([^]*?\)\1"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+')re");
  std::string out = text;
  for (auto m = std::sregex_iterator(text.begin(), text.end(), quiet); m != std::sregex_iterator(); ++m) {
    size_t line = text.rfind('\n', static_cast<size_t>(m->position())) + 1;
    bool include = std::regex_search(text.substr(line, static_cast<size_t>(m->position()) - line),
                                     std::regex(R"(^\s*#\s*include\s*$)"));
    if (include && m->str()[0] == '"') continue;
    for (size_t i = 0; i < m->str().size(); ++i)
      if (char& c = out[static_cast<size_t>(m->position()) + i]; c != '\n') c = ' ';
  }
  return out;
}

// "line: what" of everything that does not belong into a kernel.
std::vector<std::string> violations(const std::string& text, bool loops_allowed = false) {
  static const std::vector<std::pair<std::string, std::regex>> forbidden = {
      {"include of LLVM", std::regex(R"(#\s*include\s*[<"](llvm|lld|clang|mlir)\b)")},
      {"include of intrinsics",
       std::regex(R"(#\s*include\s*[<"]([a-z0-9]*intrin\.h|arm_[a-z0-9]+\.h|.*\bsimd\b|hip/|cuda|mma\.h))")},
      {"include of the code generator", std::regex(R"(#\s*include\s*[<"]codegen/(?!caps\.h|compile\.h))")},
      {"LLVM", std::regex(R"(\bllvm\s*::)")},
      {"intrinsic", std::regex(R"(\b_mm\d*_|\b_mm\w*|\b__m(128|256|512)\w*|\bv(ld|st)1q?_|__builtin|__nv_|__shfl)")},
      {"vector type", std::regex(R"(vector_size|ext_vector_type|std\s*::\s*simd)")},
      {"assembly", std::regex(R"(\b(__)?asm(__)?\b)")},
  };
  static const std::regex loop(R"(\b(for|while|do|goto)\b)");
  static const std::regex algorithm(
      R"(\bstd\s*::\s*(transform|accumulate|reduce|inner_product|for_each|fill|copy|mem(cpy|set|move))\b)");
  std::vector<std::string> found;
  std::string code = code_of(text), line;
  std::istringstream in(code);
  for (int n = 1; std::getline(in, line); ++n) {
    auto report = [&](const std::string& what) { found.push_back(std::to_string(n) + ": " + what); };
    for (const auto& [what, r] : forbidden)
      if (std::regex_search(line, r)) report(what);
    if (!loops_allowed && std::regex_search(line, loop)) report("loop");
    if (!loops_allowed && std::regex_search(line, algorithm)) report("loop over data");
  }
  return found;
}

TEST(Purity, KernelsAreWrittenInTheDsl) {
  int files = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(std::string(WAVETILE_SOURCE_DIR) + "/kernels")) {
    std::string extension = entry.path().extension().string();
    if (!entry.is_regular_file()) continue;
    EXPECT_TRUE(extension == ".cpp" || extension == ".h") << entry.path() << " is not C++";
    std::ifstream in(entry.path());
    std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    ASSERT_FALSE(text.empty()) << entry.path();
    EXPECT_THAT(violations(text, entry.path().filename() == "schedules.cpp"), IsEmpty()) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 6);
}

TEST(Purity, TheScannerFindsWhatIsPlanted) {
  EXPECT_THAT(violations("#include <llvm/IR/IRBuilder.h>\n"), ElementsAre("1: include of LLVM"));
  EXPECT_THAT(violations("int a;\n#  include \"llvm/IR/Module.h\"\n"), ElementsAre("2: include of LLVM"));
  EXPECT_THAT(violations("#include <immintrin.h>\n#include <arm_neon.h>\n#include <x86intrin.h>"),
              ElementsAre("1: include of intrinsics", "2: include of intrinsics", "3: include of intrinsics"));
  EXPECT_THAT(violations("#include \"codegen/vec.h\""), ElementsAre("1: include of the code generator"));
  EXPECT_THAT(violations("x = _mm512_fmadd_ps(a, b, c);"), ElementsAre("1: intrinsic"));
  EXPECT_THAT(violations("__m256 x;"), ElementsAre("1: intrinsic"));
  EXPECT_THAT(violations("float y = __builtin_fmaf(a, b, c);"), ElementsAre("1: intrinsic"));
  EXPECT_THAT(violations("typedef float v __attribute__((vector_size(64)));"), ElementsAre("1: vector type"));
  EXPECT_THAT(violations("asm volatile(\"nop\");"), ElementsAre("1: assembly"));
  EXPECT_THAT(violations("__asm__(\"nop\");"), ElementsAre("1: assembly"));
  EXPECT_THAT(violations("\n\n  for(int i = 0; i < n; ++i) y[i] = x[i];"), ElementsAre("3: loop"));
  EXPECT_THAT(violations("while (n--) *y++ = *x++;\ndo f(); while (g());"), ElementsAre("1: loop", "2: loop"));
  EXPECT_THAT(violations("std::transform(x, x + n, y, f);"), ElementsAre("1: loop over data"));
  EXPECT_THAT(violations("llvm::Value* v;"), ElementsAre("1: LLVM"));
  EXPECT_THAT(violations("/* a\nb */ while (x) {}"), ElementsAre("2: loop"));
}
TEST(Purity, TheScannerPassesWordsThatOnlyLookLikeIt) {
  EXPECT_THAT(violations("// for each row, while it is in cache; see llvm::Value, _mm_add and asm\nint x;"), IsEmpty());
  EXPECT_THAT(violations("/* for\nwhile */ int format = before_for;"), IsEmpty());
  EXPECT_THAT(violations("throw Error(\"stored for later, \\\" while asm\");"), IsEmpty());
  EXPECT_THAT(violations("#include \"codegen/caps.h\"\n#include \"dsl/dsl.h\"\n#include <cmath>"), IsEmpty());
  EXPECT_THAT(violations("for (auto& r : s.order) r.run = 2;", true), IsEmpty());
}

}  // namespace
}  // namespace wavetile
