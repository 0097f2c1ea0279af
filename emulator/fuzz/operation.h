// What fuzzed programs are made of: operations, each with the types that it takes and its text in LLVM IR.
//
// A text is a few lines with these marks ('host' where the reference's text differs; it then calls what definitions.h
// defines, so that nothing of the reference rests on how the AMD back end does it):
//
//   $r result   $0 $1 $2 arguments   $c0 argument with NaNs made quiet_nan()   $f0 argument with NaNs made zero
//   $k0 argument, as something of which LLVM knows nothing   $h0 so if it is a vector of 16-bit floats
//   $z0 so if it is a constant with zeros, or of constants alone
//   $j0 so if the predicate $P is false, or true, of equal values and of NaNs alike
//   $x1 ..      values of the text's own          $#0 .. immediates
//   $T $A $B $C types of result and arguments     $I $L $D  integer, i1 and double type in $T's shape    $E i32 so
//   $W          integer twice as wide as $T       $M $N  $T and $A as in intrinsics' names    $Z i32 so
//   $o $w $s $m $z  constants of type $T: 1, -1, the smallest, its bits less one, zero        $n bits of $T's element
//   $h a quarter of $T's range   $i infinity of type $A   $d $D as in names   $B element of $T
//   $P predicate and $U shuffle mask, from the immediates
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emulator/fuzz/type.h"

namespace wavetile::fuzz {

enum class Form : std::uint8_t {
  same,     // arguments and result have one type, of `kinds`
  fixed,    // `parameters` -> `result`
  convert,  // one argument of `from`, a result of `kinds`, of as many elements
  special,  // the generator knows
};

// Sets of configurations (see configurations()): those that have an operation.
inline constexpr unsigned kGfx1151 = 3, kGfx1100 = 12, kGfx942 = 16, kRdna3 = 15, kWave64 = 26, kAllChips = 31;

struct Configuration {
  const char* name;
  const char* chip;
  int lanes;
};
/// A set's bits, in order.
const std::vector<Configuration>& configurations();

struct Operation {
  const char* name = "";
  Form form = Form::special;
  int weight = 0;
  Kinds kinds = 0, from = 0;
  int count = 0;  // arguments of `same`
  bool vectors = true;
  std::vector<Type> parameters;
  Type result;
  std::string amd, host;  // host empty: as amd
  unsigned chips = kAllChips;
  unsigned broken = 0, broken_levels = 0;  // configurations and levels on which LLVM compiles it wrongly ...
  Kinds broken_kinds = kAllKinds;          // ... for these results
  std::vector<std::int64_t> (*immediates)(Random&, unsigned configurations) = nullptr;
  bool across = false;             // reads other lanes
  bool uniform_arguments = false;  // must be the same in all lanes
  bool whole_wave = false;         // defined only where all lanes are active
  bool uniform_result = false;
  bool unknown_argument = false;  // the first one must be nothing that LLVM can compute
  bool moves = false;             // floats pass through it bit by bit
  bool f32_inside = false;        // its text computes with f32 that are neither arguments nor result
};

const std::vector<Operation>& operations();
/// By name; an error when there is none.
const Operation& operation(std::string_view name);

// The parts of the table.
void add_arithmetic(std::vector<Operation>&);
void add_conversions(std::vector<Operation>&);
void add_vectors(std::vector<Operation>&);
void add_machine(std::vector<Operation>&);  // instructions of the chips that LLVM offers as intrinsics
void add_lanes(std::vector<Operation>&);

}  // namespace wavetile::fuzz
