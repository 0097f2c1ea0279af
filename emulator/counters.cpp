// Instructions are counted where they lie in the program and named at the end; memory is counted access by access.
#include "emulator/counters.h"

#include <bit>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emulator/launch.h"
#include "emulator/program.h"

namespace wavetile::emu {
namespace {

constexpr std::string_view kSpaces[] = {"global", "lds", "scratch", "constant"};
constexpr int kBanks = 32;

bool governed_by_exec(Class c) {
  switch (c) {
    case Class::salu:
    case Class::smem:
    case Class::branch:
    case Class::wait:
    case Class::barrier:
    case Class::cache:
    case Class::other:
      return false;
    default:
      return true;
  }
}

// Which lines of memory were read and written: pages of 64 lines, a bit a line.
class LineSet {
 public:
  /// Whether the line is read for the first time.
  bool add(std::uint64_t line, bool read, bool write) {
    const std::uint64_t page = line / 64, bit = std::uint64_t{1} << line % 64;
    if (!last_ || page != last_page_) {
      last_ = &pages_[page];
      last_page_ = page;
    }
    const bool first = read && !(last_->read & bit);
    if (read) last_->read |= bit;
    if (write) last_->written |= bit;
    return first;
  }
  std::uint64_t read() const { return count(&Page::read); }
  std::uint64_t written() const { return count(&Page::written); }

 private:
  struct Page {
    std::uint64_t read = 0, written = 0;
  };
  std::uint64_t count(std::uint64_t Page::*bits) const {
    std::uint64_t n = 0;
    for (const auto& [at, page] : pages_) n += static_cast<std::uint64_t>(std::popcount(page.*bits));
    return n;
  }
  std::unordered_map<std::uint64_t, Page> pages_;
  Page* last_ = nullptr;
  std::uint64_t last_page_ = 0;
};

class CountingMonitor final : public Monitor {
 public:
  void dispatch_begin(const Launch& l) override {
    c_ = std::make_shared<Counters>();
    c_->kernel = l.kernel;
    c_->chip = l.chip->name;
    c_->lanes = l.lanes;
    c_->vgprs = l.vgprs;
    c_->agprs = l.agprs;
    c_->sgprs = l.sgprs;
    c_->lds_bytes = l.group_bytes;
    c_->scratch_bytes = l.private_bytes;
    c_->waves_per_simd = waves_per_simd(l);
    c_->line_bytes = l.chip->cache_line;
    at_.assign(l.program->dwords, {});
  }
  void workgroup_begin(Workgroup&) override { ++c_->workgroups; }
  void wave_begin(Wave&, const std::vector<RegisterRange>&) override { ++c_->waves; }
  void before(Wave& w, const Op&) override {
    Executed& e = at_[w.pc];
    ++e.times;
    e.lanes += static_cast<std::uint64_t>(std::popcount(w.exec));
  }
  void wave_end(Wave& w) override { outstanding_.erase(&w); }
  void wait(Wave& w, const Op&, const Wait& wait) override {
    if (wait.vm < 0) return;
    auto& loads = outstanding_[&w];
    const auto left = static_cast<std::size_t>(wait.vm);
    if (loads.size() > left) loads.erase(loads.begin(), loads.end() - wait.vm);
  }
  void access(Wave& w, const Op&, const Access& a) override {
    Counters::Traffic& t = c_->traffic[static_cast<std::size_t>(a.space)];
    ++t.accesses;
    const std::uint64_t bytes = a.bytes * static_cast<std::uint64_t>(std::popcount(a.mask));
    (a.kind == AccessKind::load ? t.loaded : a.kind == AccessKind::store ? t.stored : t.atomic) += bytes;
    if (a.space == Space::lds) return count_banks(w, a);
    if (a.space != Space::global && a.space != Space::constant) return;
    const std::uint64_t fresh = count_lines(a);
    if (a.space == Space::global) count_outstanding(w, a, fresh);
  }
  void dispatch_end(const Launch& l) override {
    for (std::uint64_t pc = 0; pc < at_.size(); ++pc) {
      if (at_[pc].times == 0) continue;
      const Op* op = l.program->at(pc);
      if (!op) continue;
      const auto cls = static_cast<Class>(op->cls);
      c_->instructions += at_[pc].times;
      c_->by_class[op->cls] += at_[pc].times;
      const Instruction& in = *op->instruction;
      c_->by_mnemonic[in.second ? in.mnemonic + " :: " + in.second->mnemonic : in.mnemonic] += at_[pc].times;
      if (!governed_by_exec(cls)) continue;
      c_->vector_instructions += at_[pc].times;
      c_->vector_lanes += at_[pc].lanes;
    }
    c_->distinct_lines_read = lines_.read();
    c_->distinct_lines_written = lines_.written();
    at_.clear();
  }
  std::shared_ptr<const Counters> counters() const override { return c_; }

 private:
  struct Executed {
    std::uint64_t times = 0, lanes = 0;
  };

  // How many lines are read for the first time.
  std::uint64_t count_lines(const Access& a) {
    std::uint64_t fresh = 0;
    const bool read = a.kind != AccessKind::store, write = a.kind != AccessKind::load;
    const auto size = static_cast<std::uint64_t>(c_->line_bytes);
    seen_.clear();
    for (std::uint64_t left = a.mask; left != 0; left &= left - 1) {
      const std::uint64_t at = a.address[std::countr_zero(left)];
      for (std::uint64_t line = at / size; line <= (at + a.bytes - 1) / size; ++line) {
        if (!seen_.empty() && seen_.back() == line) continue;
        if (std::ranges::find(seen_, line) != seen_.end()) continue;
        seen_.push_back(line);
        fresh += lines_.add(line, read, write);
      }
    }
    if (a.space == Space::constant) return fresh;
    ++c_->line_accesses;
    c_->lines_touched += seen_.size();
    return fresh;
  }

  // Loads come back in their order. CDNA3 counts stores with them, RDNA3 apart.
  void count_outstanding(const Wave& w, const Access& a, std::uint64_t fresh) {
    const bool loads = a.kind == AccessKind::load || a.returns;
    if (!loads && w.launch->chip->family == Family::rdna3) return;
    auto& all = outstanding_[&w];
    all.push_back(fresh * static_cast<std::uint64_t>(c_->line_bytes));
    std::uint64_t sum = 0;
    for (const std::uint64_t b : all) sum += b;
    c_->bytes_in_flight = std::max(c_->bytes_in_flight, sum);
  }

  void count_banks(const Wave& w, const Access& a) {
    const int lanes = a.bytes <= 4 ? kBanks : a.bytes <= 8 ? kBanks / 2 : kBanks / 4;
    for (int first = 0; first < w.lanes; first += lanes) {
      std::uint64_t left = a.mask >> first;
      if (lanes < 64) left &= (std::uint64_t{1} << lanes) - 1;
      if (left == 0) continue;
      for (auto& bank : banks_) bank.clear();
      std::size_t most = 0;
      for (; left != 0; left &= left - 1) {
        const std::uint64_t at = a.address[first + std::countr_zero(left)];
        for (std::uint64_t dword = at / 4; dword <= (at + a.bytes - 1) / 4; ++dword) {
          auto& bank = banks_[dword % kBanks];
          if (std::ranges::find(bank, dword) != bank.end()) continue;
          bank.push_back(dword);
          most = std::max(most, bank.size());
        }
      }
      ++c_->lds_passes;
      c_->lds_conflict_cycles += most - 1;
    }
  }

  std::shared_ptr<Counters> c_ = std::make_shared<Counters>();
  std::vector<Executed> at_;  // by program counter
  LineSet lines_;
  std::vector<std::uint64_t> seen_;
  std::unordered_map<const Wave*, std::vector<std::uint64_t>> outstanding_;  // bytes of each load, the oldest first
  std::array<std::vector<std::uint64_t>, kBanks> banks_;
};

double ratio(std::uint64_t a, std::uint64_t b) {
  return b == 0 ? 0.0 : static_cast<double>(a) / static_cast<double>(b);
}

}  // namespace

std::string Counters::to_text() const {
  std::string text =
      fmt::format("kernel {} on {}: {} workgroups, {} waves of {} lanes\n", kernel, chip, workgroups, waves, lanes);
  text += fmt::format("  registers: {} VGPRs, {} AGPRs, {} SGPRs; {} waves fit a SIMD\n", vgprs, agprs, sgprs,
                      waves_per_simd);
  text += fmt::format("  LDS: {} bytes a workgroup; scratch: {} bytes a work-item\n", lds_bytes, scratch_bytes);
  text += fmt::format("  instructions: {}; of {} vector instructions {:.2f} lanes on average\n", instructions,
                      vector_instructions, ratio(vector_lanes, vector_instructions));
  for (int i = 0; i < kClasses; ++i) {
    if (by_class[static_cast<std::size_t>(i)] == 0) continue;
    text += fmt::format("    {:<8} {}\n", class_name(static_cast<Class>(i)), by_class[static_cast<std::size_t>(i)]);
  }
  for (std::size_t i = 0; i < traffic.size(); ++i) {
    const Traffic& t = traffic[i];
    if (t.accesses == 0) continue;
    text += fmt::format("  {}: {} accesses, bytes loaded {}, stored {}, atomic {}\n", kSpaces[i], t.accesses, t.loaded,
                        t.stored, t.atomic);
  }
  text += fmt::format("  lines of {} bytes: {:.2f} an access, {} distinct read, {} distinct written\n", line_bytes,
                      ratio(lines_touched, line_accesses), distinct_lines_read, distinct_lines_written);
  text += fmt::format("  loads in flight: at most {} bytes of a wave\n", bytes_in_flight);
  text += fmt::format("  LDS: {} passes, {} cycles of bank conflicts\n", lds_passes, lds_conflict_cycles);
  return text;
}

namespace {

// The fields that are written and read by their names.
void visit_fields(auto&& visit, auto& c) {
  visit("kernel", c.kernel);
  visit("chip", c.chip);
  visit("lanes", c.lanes);
  visit("workgroups", c.workgroups);
  visit("waves", c.waves);
  visit("vgprs", c.vgprs);
  visit("agprs", c.agprs);
  visit("sgprs", c.sgprs);
  visit("lds_bytes", c.lds_bytes);
  visit("scratch_bytes", c.scratch_bytes);
  visit("waves_per_simd", c.waves_per_simd);
  visit("instructions", c.instructions);
  visit("by_mnemonic", c.by_mnemonic);
  visit("vector_instructions", c.vector_instructions);
  visit("vector_lanes", c.vector_lanes);
  visit("line_bytes", c.line_bytes);
  visit("line_accesses", c.line_accesses);
  visit("lines_touched", c.lines_touched);
  visit("distinct_lines_read", c.distinct_lines_read);
  visit("distinct_lines_written", c.distinct_lines_written);
  visit("bytes_in_flight", c.bytes_in_flight);
  visit("lds_passes", c.lds_passes);
  visit("lds_conflict_cycles", c.lds_conflict_cycles);
}

}  // namespace

std::string Counters::to_json() const {
  nlohmann::json j;
  visit_fields([&](const char* name, const auto& field) { j[name] = field; }, *this);
  for (int i = 0; i < kClasses; ++i) {
    j["by_class"][std::string(class_name(static_cast<Class>(i)))] = by_class[static_cast<std::size_t>(i)];
  }
  for (std::size_t i = 0; i < traffic.size(); ++i) {
    const Traffic& t = traffic[i];
    j["traffic"][std::string(kSpaces[i])] = {
        {"accesses", t.accesses}, {"loaded", t.loaded}, {"stored", t.stored}, {"atomic", t.atomic}};
  }
  return j.dump(2);
}

Counters Counters::from_json(const std::string& text) {
  std::string path;
  try {
    const nlohmann::json j = nlohmann::json::parse(text);
    auto read = [&](const std::string& name, auto& to) {
      path = name;
      j.at(nlohmann::json::json_pointer(name)).get_to(to);
    };
    Counters c;
    visit_fields([&](const char* name, auto& to) { read(fmt::format("/{}", name), to); }, c);
    for (int i = 0; i < kClasses; ++i)
      read(fmt::format("/by_class/{}", class_name(static_cast<Class>(i))), c.by_class[static_cast<std::size_t>(i)]);
    for (std::size_t i = 0; i < c.traffic.size(); ++i) {
      const std::string of = fmt::format("/traffic/{}/", kSpaces[i]);
      read(of + "accesses", c.traffic[i].accesses);
      read(of + "loaded", c.traffic[i].loaded);
      read(of + "stored", c.traffic[i].stored);
      read(of + "atomic", c.traffic[i].atomic);
    }
    return c;
  } catch (const nlohmann::json::parse_error& e) {
    throw std::runtime_error(fmt::format("counters: not JSON: a mistake at byte {}", e.byte));
  } catch (const nlohmann::json::type_error&) {
    throw std::runtime_error(fmt::format("counters: field {} has a value of the wrong type", path));
  } catch (const nlohmann::json::exception&) {
    throw std::runtime_error(fmt::format("counters: field {} is missing", path));
  }
}

std::shared_ptr<Monitor> make_counting_monitor() { return std::make_shared<CountingMonitor>(); }

}  // namespace wavetile::emu
