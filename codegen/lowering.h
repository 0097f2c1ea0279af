// Tile IR with layouts -> LLVM IR. One lowering for all targets: whatever differs goes through Target's hooks.
//
// A tile is a list of registers, each a T (all lanes hold the same, or lanes are threads) or a <lanes x T>.
// lower.cpp walks regions and ranges, access.cpp and memory.cpp do loads and stores, dot.cpp dots,
// combine.cpp reductions and conversions, shared.cpp what goes through shared memory, stages.cpp loops over full blocks
// and loads ahead of them, spans.cpp which of these need no comparison.
#pragma once

#include <map>
#include <optional>

#include <llvm/IR/DIBuilder.h>

#include "codegen/passes.h"
#include "codegen/swizzle.h"
#include "codegen/target.h"
#include "codegen/vec.h"

namespace wavetile {

using Registers = std::vector<llvm::Value*>;

class Lowering {
 public:
  Lowering(const Graph& recorded, const LaidOut& laid, const Signature& sig, const Schedule& schedule,
           const Target& target, llvm::Module& m);
  void run(const std::string& symbol);

 private:
  // Where a range's current block lies.
  struct Position {
    llvm::Value* base = nullptr;  // i32, the block's first coordinate
    llvm::Value* hi = nullptr;    // i32
    std::optional<int64_t> fixed_base, fixed_hi;
    bool aligned = true;  // base is a multiple of the tile
    bool full = false;    // the block lies inside [lo, hi)
  };

  // lower.cpp
  void region(const Region& r);
  void op(int id);
  void map_op(const Op& op, int id);
  llvm::Value* function(Fn fn, const std::vector<Vec>& args);
  void block_body();
  void fold(const Op& op, int id);
  struct Bounds {
    llvm::Value *lo = nullptr, *hi = nullptr;  // i32
    std::optional<int64_t> extent, fixed_lo;   // where they are known
    bool aligned = false;                      // lo is a multiple of the tile
  };
  std::vector<Registers> walk(const Op& op, const Bounds& bounds, std::vector<Registers> state);
  std::vector<Registers> block(const Op& fold, const Position& p, const std::vector<Registers>& state);
  Registers yielded(const Op& fold, const Region& r, size_t i);
  llvm::Value* scalar(Value v);  // i32
  int64_t multiple_of(Value v) const;
  Position& at(RangeId r) { return positions_[r]; }
  llvm::Value* blocks_of(RangeId r);
  std::vector<llvm::Value*> walk_grid(llvm::Value* block);

  // Coordinates inside a block.
  llvm::Value* local(const Layout& l, size_t axis);  // the lane's and warp's share; null: none
  llvm::Value* from_bits(llvm::Value* id, const Bases& bases, size_t axis);
  llvm::Value* coordinate(const Layout& l, int reg, RangeId r);
  /// Elements inside the range's bounds; null: all of the register's are.
  llvm::Value* inside(const Layout& l, int reg, RangeId r);

  // stages.cpp
  struct Walked {
    llvm::Value* base;  // i32: where the first block that is not full begins
    std::vector<Registers> state;
  };
  Walked loop(const Op& fold, const Bounds& bounds, const std::vector<Registers>& start);
  std::vector<int> loads_ahead(const Op& fold) const;
  struct Held;
  Held issue(const std::vector<int>& loads, RangeId r, const Position& p);
  std::vector<Held> issue_first(const std::vector<int>& loads, RangeId r, const Bounds& bounds, int blocks);
  std::vector<Registers> with_held(const Op& fold, const Position& p, const std::vector<int>& loads, const Held& held,
                                   const std::vector<Registers>& state);

  // spans.cpp
  struct Span {  // blocks that begin at `from` or after it and end at `to` or before it; i32, null: no such limit
    llvm::Value *from = nullptr, *to = nullptr;
    std::map<int, bool> known;  // what comparisons are there, by op
  };
  struct Interval {
    llvm::Value *least, *greatest;  // i32
    llvm::Value* valid;             // i1
  };
  Walked full_blocks(const Op& fold, const Bounds& bounds, const std::vector<Registers>& start);
  Span span_of(const Op& fold);
  bool narrow(Span& s, int id, bool wanted, RangeId t);
  std::optional<Interval> interval(Value v, RangeId t);
  std::optional<Interval> behind(Value v, RangeId t);
  void compared(Value mask, bool wanted, std::map<int, bool>& all) const;
  int64_t cost(int id) const;

  // share.cpp
  bool shared(const Op& fold) const { return schedule_.warps > 1 && g().range(fold.range).name == schedule_.share; }
  std::vector<Registers> share(const Op& op, const Bounds& bounds, const std::vector<Registers>& start);
  std::vector<Registers> merge(const Op& op, const std::vector<Registers>& a, const std::vector<Registers>& b);

  // access.cpp
  // What one access needs, a register: its offset, whom it is for, and which registers lie side by side.
  struct Access {
    struct Register {
      llvm::Value* offset = nullptr;   // i64; what all lanes share
      llvm::Value* thread = nullptr;   // i32: where it is given, lanes and `fixed` are no part of `offset`
      llvm::Value* lanes = nullptr;    // i64 vector: what each explicit lane adds, unless that is 0, 1, 2, ...
      llvm::Value* mask = nullptr;     // i1 or a vector of them; null: all
      llvm::Value* address = nullptr;  // loads: where `offset` may be followed, if not everywhere
      bool zero_outside = false;       // an offset may leave the tensor: those elements read 0
      int64_t fixed = 0;               // the part of `offset` known now
      std::vector<int> varying;        // coordinates that unknown strides multiply
    };
    std::vector<Register> regs;
    bool contiguous = false;  // lane l adds l
    bool pairs = false;       // lane l adds 2l
    bool exact = false;       // a load that touches nothing but its own elements
    int64_t multiple = 1;     // every lane's offset, less `fixed`, is a multiple of this
  };
  Access access(const Op& op, const Layout& l);
  llvm::Value* stride(int tensor, size_t dim);
  llvm::Value* extent(int tensor, size_t dim);
  std::optional<int64_t> fixed_stride(int tensor, size_t dim) const;
  llvm::Value* both(llvm::Value* a, llvm::Value* b);  // of two masks, null meaning all

  // memory.cpp
  // A load whose registers are read when they are asked for.
  struct Load {
    const Op* op;
    Layout layout;
    Access access;
    Registers loaded;
  };
  Load plan_load(const Op& op, const Layout& l);
  llvm::Value* loaded(Load& plan, int reg);
  bool load_pair(Load& plan, size_t reg);
  Registers load(const Op& op, const Layout& l);
  void store(const Op& op, const Layout& l);
  llvm::Value* pointer(int tensor, llvm::Type* element, llvm::Value* offset);
  llvm::Value* place(const Op& op, llvm::Type* element, const Access::Register& reg);
  llvm::Value* owner(const Layout& l);
  void store_where(llvm::Value* mask, const std::function<void()>& body);
  llvm::Value* load_where(llvm::Value* mask, const std::function<llvm::Value*()>& body);

  // lines.cpp
  void begin_lines();
  void end_lines();
  /// The line that instructions come from until the next call.
  void at_line(const Loc& loc);

  // order.cpp: what the lanes of a block do to memory that they share
  /// Before shared memory is written, and once it is: then others may read it, until it is written the next time.
  void begin_exchange();
  void end_exchange(Target::Memory what = Target::Memory::shared);
  void part(Target::Memory what);  // what the block's lanes did before it from what they do behind it
  /// Before a load or store of a tensor.
  void order_access(const Op& op, const Layout& l);
  void begin_region();
  struct Touch {
    const Op* op;
    const Layout* layout;
  };
  struct Order {
    bool being_read = false;     // shared memory, by other warps
    int exchanges = 0;           // so far
    std::vector<Touch> touched;  // accesses that others of the block may not have come to yet
  };
  /// Around a fold's body that may not run, or runs `again` and again.
  Order begin_body(const Op& fold, bool again);
  void end_body(const Order& before);

  // dot.cpp
  Registers dot(const Op& op, const Layout& l);
  Registers matrix_dot(const Op& op, const Layout& l, const MatrixUse& use);
  Registers dot_loop(const Op& op, const Layout& l);
  Registers dot_start(const Op& op, const Layout& l);
  llvm::Value* multiply_add(llvm::Value* a, llvm::Value* b, llvm::Value* c);
  void keep_order();
  struct Staged;
  Staged stage(Value operand, RangeId k);
  /// Result registers in groups that stay in the machine's registers while k runs.
  std::vector<std::vector<int>> dot_groups(const Op& op, const Layout& l);
  bool only_for_dots(int id) const;

  // combine.cpp
  Registers reduce(int id, const Layout& to);
  static constexpr int maxima = 1;  // an argmax's second value: what is at the coordinate that is its first
  int argmax_beside(const Op& max, const Layout& to) const;
  void convert(const Op& op, Value self);
  class Mover;
  using State = std::vector<llvm::Value*>;  // what a reduction carries: the value, and argmax its coordinate
  State combine(Reduction r, const State& a, const State& b);
  State in_thread(Reduction r, std::vector<State> parts);
  std::vector<State> across_warps(Reduction r, std::vector<State> v, const Layout& l, RangeId axis);

  // shared.cpp
  struct Transit {  // a tile on its way through shared memory
    Value to;
    Layout from, layout;
    DType dtype;
    Swizzle swizzle;
    int base = 0;  // bytes
    llvm::Type* element = nullptr;
    int bytes() const { return (swizzle.elements * size_of(dtype) + 15) / 16 * 16; }
  };
  void send(Value to, const Registers& v, const Layout& from, const Layout& layout, DType dtype);
  void receive();
  bool waits_for_nothing(const Op& op) const;
  llvm::Value* shared_memory(int bytes);
  llvm::Value* shared_slot(llvm::Type* t, llvm::Value* element, int bytes);  // of `bytes` in use
  Vec swizzled(const Swizzle& s, size_t axis, Vec c);
  struct AtSetup;
  struct Places;
  Places places_of(const Swizzle& s, const Layout& from, const Layout& l);
  llvm::Value* place(Places& p, int reg);

  // helpers
  const Graph& g() const { return laid_.graph; }
  const Registers& value(Value v) const { return values_.at(v); }
  /// The register of `part`, a restriction of `l`, that goes with register `reg` of `l`.
  int part_register(const Layout& l, int reg, const Layout& part) const;
  bool vector_registers(const Layout& l) const { return caps_.simd && !l.lane_uniform(); }
  llvm::Type* register_type(const Layout& l, DType t);
  llvm::Value* widened(llvm::Value* v, const Layout& l);
  llvm::Value* i32(int64_t x) { return b_.getInt32(static_cast<uint32_t>(x)); }
  llvm::Value* i64(int64_t x) { return b_.getInt64(static_cast<uint64_t>(x)); }
  Vec vec(llvm::Value* v) { return {&b_, v}; }

  const Graph& recorded_;
  const LaidOut& laid_;
  const Signature& sig_;
  const Schedule& schedule_;
  const Target& target_;
  const Caps& caps_;
  llvm::Module& m_;
  Builder b_;
  Entry entry_;
  std::vector<int> slot_;  // of each tensor's pointer; extents and strides follow it
  std::vector<int> scalar_slot_;
  std::vector<bool> may_change_;  // of each tensor: others may store to what is loaded of it
  Order order_;
  const Region* region_ = nullptr;          // that is being lowered
  std::unique_ptr<llvm::DIBuilder> lines_;  // null: the target keeps no lines
  std::map<std::string, llvm::DIScope*> files_;
  std::map<RangeId, Position> positions_;
  std::map<Value, Registers> values_;
  std::map<int, bool> known_;   // comparisons, by op, that are the same for all elements of the present block
  std::map<Value, Load> lazy_;  // loads that only dots use: read where they are multiplied
  std::vector<Transit> transit_;
  int shared_from_ = 0, shared_used_ = 0;  // bytes of shared memory: before those in use now, and of those
  llvm::Value* lane_ = nullptr;
  llvm::Value* warp_ = nullptr;
  llvm::BasicBlock* setup_ = nullptr;     // where these are known
  llvm::BasicBlock* together_ = nullptr;  // where warp 0, which works alone now, meets the others
};

/// `recorded` is the graph that launches are checked against.
void lower(const Graph& recorded, const LaidOut& laid, const Signature& sig, const Schedule& schedule,
           const Target& target, llvm::Module& m, const std::string& symbol);

}  // namespace wavetile
