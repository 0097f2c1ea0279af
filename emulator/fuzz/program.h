// A fuzzed program in plain data, so that it can be generated, written as LLVM IR for a target, and reduced.
//
// A program is a tree of blocks of statements, each giving one value (or none) of its own number; a value may be used
// below its statement in its block and in the blocks inside. All work-items run the program on data of their own:
//
//   in       read-only, kInputBytes a work-item, filled as the loads' types ask
//   uniform  read-only, the same for all; its last kUniformTable bytes are read at computed places
//   own      kOwnBytes a work-item to load from and store to
//   shared   cells for atomics, whose result does not depend on the order
//   out      results, kOutputBytes a work-item
//   LDS      kOwnBytes a work-item, and areas that statements use between barriers of their own
//   private  arrays of kPrivateBytes
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emulator/fuzz/type.h"

namespace wavetile::fuzz {

inline constexpr int kGroups = 2, kGroupItems = 64, kItems = kGroups * kGroupItems;
inline constexpr int kInputBytes = 1024, kUniformBytes = 512, kUniformTable = 64, kOwnBytes = 64, kOutputBytes = 1024,
                     kPrivateBytes = 64, kSharedBytes = 256,
                     kScalars = 4;  // kScalars: arguments by value, i32 and i64 in turn
// LDS: the work-items' own bytes, then 16 a work-item to exchange, then cells.
inline constexpr int kExchangeAt = kGroupItems * kOwnBytes, kCellsAt = kExchangeAt + kGroupItems * 16,
                     kLdsBytes = kCellsAt + 64;

struct Operation;
struct Statement;

struct Block {
  std::vector<int> parameters;  // numbers of values that it is entered with
  std::vector<Statement> body;
  int result = -1;  // the value that it gives, -1: none
};

struct Statement {
  const Operation* operation = nullptr;
  int value = -1;  // its number; also of statements without a value
  Type type;       // of the value
  std::vector<int> arguments;
  std::vector<std::int64_t> immediates;
  std::vector<Block> blocks;
};

/// Where a load or a store goes; the first immediate of "load", "store" and the atomics.
enum class Space : std::int64_t { input, uniform, own, lds, array, either };  // either: own or lds, as a value says

struct Datum {  // of `in` or `uniform`: what a load expects there
  Type type;
  int offset;
};

struct Program {
  std::uint64_t seed = 0, number = 0;
  Block body;
  std::vector<Type> types;    // of all values, by number
  std::vector<bool> uniform;  // values that are the same in all active lanes of a wave
  std::vector<Datum> input, uniform_data, output;
  std::vector<std::uint64_t> scalars;
  unsigned configurations = 0;  // where it can run
  int private_arrays = 0, shared_bytes = 0;
  bool flushes = false;  // f32 denormals are zeros of their sign for all arithmetic
};

}  // namespace wavetile::fuzz
