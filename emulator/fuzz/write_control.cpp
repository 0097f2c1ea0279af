// Control flow as LLVM IR. On the host, work-items that must meet inside a branch say which they take (reference.h).
#include <string_view>

#include <fmt/format.h>

#include "emulator/fuzz/writer.h"

namespace wavetile::fuzz {

bool crosses_lanes(const Block& block) {
  for (const Statement& s : block.body) {
    if (s.operation->across) return true;
    for (const Block& inner : s.blocks)
      if (crosses_lanes(inner)) return true;
  }
  return false;
}

void Writer::choose(const Statement& s) {
  bool meet = false;
  for (const Block& b : s.blocks) meet = meet || (side_ == Side::host && crosses_lanes(b));
  const std::string prefix = fmt::format("b{}", s.value), which = name(s, "which");
  const bool is_if = std::string_view(s.operation->name) == "if";
  const std::size_t n = s.blocks.size();
  if (is_if) {
    line(fmt::format("{} = zext i1 {} to i32", which, value(s.arguments[0])));
  } else {
    line(fmt::format("{} = urem i32 {}, {}", which, value(s.arguments[0]), n));
  }
  if (meet) line(fmt::format("call void @fz_branch(i32 {})", which));
  if (is_if) {
    line(fmt::format("br i1 {}, label %{}.0, label %{}.1", value(s.arguments[0]), prefix, prefix));
  } else {
    std::string cases;
    for (std::size_t i = 0; i + 1 < n; ++i) cases += fmt::format(" i32 {}, label %{}.{}", i, prefix, i);
    line(fmt::format("switch i32 {}, label %{}.{} [{} ]", which, prefix, n - 1, cases));
  }
  std::string incoming;
  for (std::size_t i = 0; i < n; ++i) {
    label(fmt::format("{}.{}", prefix, i));
    block(s.blocks[i]);
    std::string result = value(s.blocks[i].result);
    if (!is_if) {  // LLVM may take one block's result for another's: each is computed there
      const std::string test = name(s, fmt::format("test{}", i)), own = name(s, fmt::format("own{}", i));
      line(fmt::format("{} = icmp ult i32 %group, {}", test, 4096 + i));
      line(fmt::format("{} = select i1 {}, {} {}, {} zeroinitializer", own, test, text(s.type), result, text(s.type)));
      result = own;
    }
    incoming += fmt::format("{} [ {}, %{} ]", i ? "," : "", result, at_);
    line(fmt::format("br label %{}.end", prefix));
  }
  label(prefix + ".end");
  line(fmt::format("%v{} = phi {}{}", s.value, text(s.type), incoming));
  if (meet) line("call void @fz_join()");
}

void Writer::loop(const Statement& s) {
  const Block& body = s.blocks[0];
  const bool meet = side_ == Side::host && crosses_lanes(body);
  const std::string prefix = fmt::format("b{}", s.value), count = name(s, "count"), more = name(s, "more"),
                    next = name(s, "next");
  line(fmt::format("{} = urem i32 {}, {}", count, value(s.arguments[0]), s.immediates[0] + 1));
  // The count as work-items see it differs between them, for all that LLVM knows: a scalar one it may read once all
  // have left.
  const std::string none = name(s, "none"), counter = name(s, "counter");
  line(fmt::format("{} = add i32 %item, %group", name(s, "sum")));
  line(fmt::format("{} = lshr i32 {}, 12", none, name(s, "sum")));
  if (meet) line("call void @fz_branch(i32 0)");
  const std::string before = at_;
  line(fmt::format("br label %{}.head", prefix));
  // The body's end is known once it is written.
  const std::string so_far = std::move(out_);
  out_.clear();
  label(prefix + ".body");
  block(body);
  const std::string latch = at_;
  line(fmt::format("{} = add i32 {}, 1", next, counter));
  line(fmt::format("br label %{}.head", prefix));
  const std::string inside = std::move(out_);
  out_ = so_far;
  label(prefix + ".head");
  line(fmt::format("{} = phi i32 [ 0, %{} ], [ {}, %{} ]", counter, before, next, latch));
  line(fmt::format("{} = phi {} [ {}, %{} ], [ {}, %{} ]", value(body.parameters[1]), text(s.type),
                   value(s.arguments[1]), before, value(body.result), latch));
  line(fmt::format("{} = xor i32 {}, {}", value(body.parameters[0]), counter, none));
  line(fmt::format("{} = icmp ult i32 {}, {}", more, counter, count));
  if (meet) {
    line(fmt::format("{}.word = zext i1 {} to i32", more, more));
    line(fmt::format("call void @fz_continue(i32 {}.word)", more));
  }
  line(fmt::format("br i1 {}, label %{}.body, label %{}.end", more, prefix, prefix));
  out_ += inside;
  label(prefix + ".end");
  line(fmt::format("%v{} = phi {} [ {}, %{}.head ]", s.value, text(s.type), value(body.parameters[1]), prefix));
}

}  // namespace wavetile::fuzz
