#include "emulator/fuzz/reduce.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "emulator/fuzz/operation.h"

namespace wavetile::fuzz {
namespace {

std::string_view name(const Statement& s) { return s.operation->name; }

void each_block(Block& b, const std::function<void(Block&)>& visit) {
  visit(b);
  for (Statement& s : b.body)
    for (Block& inner : s.blocks) each_block(inner, visit);
}

void rename(Block& b, int from, int to) {
  each_block(b, [&](Block& block) {
    if (block.result == from) block.result = to;
    for (Statement& s : block.body) std::replace(s.arguments.begin(), s.arguments.end(), from, to);
  });
}

std::set<int> used_values(Block& b) {
  std::set<int> used;
  each_block(b, [&](Block& block) {
    if (block.result >= 0) used.insert(block.result);
    for (const Statement& s : block.body) used.insert(s.arguments.begin(), s.arguments.end());
  });
  return used;
}

bool has_effect(const Statement& s) {
  for (const char* effect :
       {"store", "output", "shared_atomic", "atomic", "compare_exchange", "float_atomic", "cells", "exchange_lds"})
    if (name(s) == effect) return true;
  for (const Block& b : s.blocks)
    for (const Statement& inner : b.body)
      if (has_effect(inner)) return true;
  return false;
}

void remove_dead(Program& p) {
  for (bool again = true; again;) {
    again = false;
    const std::set<int> used = used_values(p.body);
    each_block(p.body, [&](Block& b) {
      again |= std::erase_if(b.body, [&](const Statement& s) { return !used.contains(s.value) && !has_effect(s); }) > 0;
    });
  }
}

Statement zero(const Program& p, int value) {
  const Type type = p.types[static_cast<std::size_t>(value)];
  return {&operation("constant"), value, type, {}, std::vector<std::int64_t>(type.lanes), {}};
}

class Reducer {
 public:
  Reducer(const Program& p, const std::function<bool(const Program&)>& fails, int most)
      : best_(p), fails_(fails), left_(most) {}

  Program run() {
    for (bool better = true; better && left_ > 0;) {
      better = halves();
      better |= statements();
    }
    return best_;
  }

 private:
  bool accept(Program& candidate) {
    if (left_-- <= 0) return false;
    remove_dead(candidate);
    if (!fails_(candidate)) return false;
    best_ = std::move(candidate);
    return true;
  }

  // Runs of effects at the top, the longest first.
  bool halves() {
    bool better = false;
    for (std::size_t length = std::max<std::size_t>(best_.body.body.size() / 2, 1); length >= 2; length /= 2)
      for (std::size_t at = 0; at + length <= best_.body.body.size();) {
        Program candidate = best_;
        auto& body = candidate.body.body;
        const std::set<int> used = used_values(candidate.body);
        std::size_t index = 0;
        const auto removed = std::erase_if(body, [&](const Statement& s) {
          const std::size_t i = index++;
          return i >= at && i < at + length && !used.contains(s.value);
        });
        if (removed > 0 && accept(candidate)) {
          better = true;
        } else {
          at += length;
        }
      }
    return better;
  }

  // Statement by statement, from the last to the first: values used below are simplified before those that they need.
  bool statements() {
    bool better = false;
    for (int i = count() - 1; i >= 0 && left_ > 0; --i)
      if (i < count()) better |= simplify(i);
    return better;
  }

  int count() {
    int n = 0;
    each_block(best_.body, [&](Block& b) { n += static_cast<int>(b.body.size()); });
    return n;
  }

  /// The block of statement `number` in `p`, and where it is there.
  static std::pair<Block*, std::size_t> find(Program& p, int number) {
    std::pair<Block*, std::size_t> found{nullptr, 0};
    int n = 0;
    each_block(p.body, [&](Block& b) {
      const int here = static_cast<int>(b.body.size());
      if (!found.first && number < n + here) found = {&b, static_cast<std::size_t>(number - n)};
      n += here;
    });
    return found;
  }

  bool attempt(int number, const std::function<bool(Program&, Block&, std::size_t)>& change) {
    Program candidate = best_;
    auto [block, at] = find(candidate, number);
    return block && change(candidate, *block, at) && accept(candidate);
  }

  bool simplify(int number) {
    // Away with it.
    if (attempt(number, [](Program& p, Block& b, std::size_t at) {
          const int v = b.body[at].value;
          if (used_values(p.body).contains(v)) {
            if (name(b.body[at]) == "constant") return false;
            b.body[at] = zero(p, v);
          } else {
            b.body.erase(b.body.begin() + static_cast<std::ptrdiff_t>(at));
          }
          return true;
        }))
      return true;
    bool better = false;
    const std::size_t arguments = [&] {
      auto [b, at] = find(best_, number);
      return b->body[at].arguments.size();
    }();
    // One of its arguments in its place.
    for (std::size_t a = 0; a < arguments && !better; ++a)
      better = attempt(number, [a](Program& p, Block& b, std::size_t at) {
        const Statement s = b.body[at];
        if (a >= s.arguments.size() || name(s) == "output" || name(s) == "store" ||
            p.types[static_cast<std::size_t>(s.arguments[a])] != p.types[static_cast<std::size_t>(s.value)])
          return false;
        b.body.erase(b.body.begin() + static_cast<std::ptrdiff_t>(at));
        rename(p.body, s.value, s.arguments[a]);
        return true;
      });
    if (better) return true;
    const std::size_t blocks = [&] {
      auto [b, at] = find(best_, number);
      return b->body[at].blocks.size();
    }();
    for (std::size_t i = 0; i < blocks; ++i)
      if (attempt(number, [i](Program& p, Block& b, std::size_t at) { return splice(p, b, at, i); })) return true;
    // Zero for an argument.
    for (std::size_t a = 0; a < arguments; ++a)
      better |= attempt(number, [a](Program& p, Block& b, std::size_t at) {
        if (a >= b.body[at].arguments.size()) return false;  // the zero of an argument before it
        const int old = b.body[at].arguments[a];
        if (is_constant(p, old)) return false;
        p.types.push_back(p.types[static_cast<std::size_t>(old)]);
        p.uniform.push_back(true);
        const int fresh = static_cast<int>(p.types.size()) - 1;
        b.body[at].arguments[a] = fresh;
        b.body.insert(b.body.begin() + static_cast<std::ptrdiff_t>(at), zero(p, fresh));
        return true;
      });
    return better;
  }

  static bool is_constant(Program& p, int value) {
    bool found = false;
    each_block(p.body, [&](Block& b) {
      for (const Statement& s : b.body) found = found || (s.value == value && name(s) == "constant");
    });
    return found;
  }

  // One of its blocks in its place, as if it were entered once.
  static bool splice(Program& p, Block& b, std::size_t at, std::size_t which) {
    const Statement s = b.body[at];
    Block inner = s.blocks[which];
    b.body.erase(b.body.begin() + static_cast<std::ptrdiff_t>(at));
    auto place = b.body.begin() + static_cast<std::ptrdiff_t>(at);
    if (!inner.parameters.empty()) place = b.body.insert(place, zero(p, inner.parameters[0])) + 1;
    b.body.insert(place, inner.body.begin(), inner.body.end());
    if (!inner.parameters.empty()) {
      rename(p.body, inner.parameters[1], s.arguments[1]);
      if (inner.result == inner.parameters[1]) inner.result = s.arguments[1];
    }
    rename(p.body, s.value, inner.result);
    return true;
  }

  Program best_;
  const std::function<bool(const Program&)>& fails_;
  int left_;
};

}  // namespace

Program reduce(const Program& program, const std::function<bool(const Program&)>& fails, int most) {
  return Reducer(program, fails, most).run();
}

}  // namespace wavetile::fuzz
