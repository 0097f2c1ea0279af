// How a kernel is cut up, apart from what it computes. A schedule never changes a result beyond rounding.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace wavetile {

/// A tensor kept in blocks: dimension -> elements of a block (a power of two). Digits inside blocks are innermost in
/// memory, in the order given from the outer to the inner one. Weights[K][N] with {{1, 16}} is [N/16][K][16]; with
/// {{1, 16}, {0, 2}} it is [N/16][K/2][16][2]. Memory is padded to whole blocks, and the padding can be read.
/// With `streams`, the blocks of the outermost dimension are dealt to that many runs: {{1, 16}} with 4 streams is
/// [4][N/64][K][16]. Who reads four blocks side by side, and then the next four, reads four long runs of memory, and
/// whatever fetches ahead goes on from one group of blocks to the next.
struct Packing {
  struct Block {
    int dim, size;
    auto operator<=>(const Block&) const = default;
  };
  std::vector<Block> blocks;
  int streams = 1;  // a power of two; of the dimension of blocks[0]
  auto operator<=>(const Packing&) const = default;
};

/// A step of the walk over the grid, outermost first: `axis` in runs of `run` blocks (0: to its end).
struct Walk {
  std::string axis;
  int run = 0;
  auto operator<=>(const Walk&) const = default;
};

struct Schedule {
  std::map<std::string, int> tile = {};  // range -> elements of a block
  int warps = 1;                         // of a block
  // Blocks whose tiles a fold holds at a time, 1 to 4: it computes with one while the next stages - 1 are on their way
  // from memory. They take registers; what the fold needs of shared memory is multiplied by it, and then one barrier a
  // block is enough where there were two. Of innermost folds, and of loads of tensors that are not written, at places
  // that ranges alone make up; the rest is loaded where it is used. No effect where lanes are explicit vectors (CPUs).
  int stages = 1;
  std::map<std::string, int> split = {};  // serial range -> parts that run as independent blocks, then merged in order
  std::string share = {};  // a serial range whose fold the warps share out, a part each, merged in order; else they
                           // share the tiles
  std::map<std::string, Packing> packing = {};  // tensor -> how it lies in memory
  std::vector<Walk> order = {};                 // empty: ranges in the order they were made, the last one fastest

  auto operator<=>(const Schedule&) const = default;
};

}  // namespace wavetile
