// One instruction at a time: LLVM disassembles and prints, this file takes the line apart.
#include "emulator/decode.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <mutex>
#include <stdexcept>

#include <llvm/MC/MCAsmInfo.h>
#include <llvm/MC/MCContext.h>
#include <llvm/MC/MCDisassembler/MCDisassembler.h>
#include <llvm/MC/MCInst.h>
#include <llvm/MC/MCInstPrinter.h>
#include <llvm/MC/MCInstrInfo.h>
#include <llvm/MC/MCRegisterInfo.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/MCTargetOptions.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>

#include "emulator/llvm_target.h"

namespace wavetile::emu {
namespace {

bool number(std::string_view text, std::uint16_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// "VCC_LO" of LLVM's names and "vcc_lo" of its assembly, in lower case.
std::optional<RegisterRange> named_register(std::string_view name) {
  struct Named {
    std::string_view name;
    std::uint16_t first;
    std::uint8_t count;
  };
  static constexpr std::array kNamed{Named{"vcc_lo", kVcc, 1},
                                     Named{"vcc_hi", kVcc + 1, 1},
                                     Named{"vcc", kVcc, 2},
                                     Named{"exec_lo", kExec, 1},
                                     Named{"exec_hi", kExec + 1, 1},
                                     Named{"exec", kExec, 2},
                                     Named{"m0", kM0, 1},
                                     Named{"null", kNull, 1},
                                     Named{"sgpr_null", kNull, 1},
                                     Named{"sgpr_null64", kNull, 2},
                                     Named{"flat_scratch_lo", kFlatScratch, 1},
                                     Named{"flat_scratch_hi", kFlatScratch + 1, 1},
                                     Named{"flat_scratch", kFlatScratch, 2},
                                     Named{"flat_scr_lo", kFlatScratch, 1},
                                     Named{"flat_scr_hi", kFlatScratch + 1, 1},
                                     Named{"flat_scr", kFlatScratch, 2},
                                     Named{"xnack_mask_lo", kXnackMask, 1},
                                     Named{"xnack_mask_hi", kXnackMask + 1, 1},
                                     Named{"xnack_mask", kXnackMask, 2}};
  const auto* found = std::ranges::find(kNamed, name, &Named::name);
  if (found != kNamed.end()) return RegisterRange{File::sgpr, found->first, found->count};
  if (name == "scc") return RegisterRange{File::scc, 0, 1};
  if (name == "mode") return RegisterRange{File::mode, 0, 1};
  return std::nullopt;
}

std::pair<File, std::uint16_t> file_of(std::string_view prefix) {
  if (prefix == "v" || prefix == "vgpr") return {File::vgpr, 0};
  if (prefix == "a" || prefix == "agpr") return {File::agpr, 0};
  if (prefix == "s" || prefix == "sgpr") return {File::sgpr, 0};
  if (prefix == "ttmp") return {File::sgpr, kTtmp0};
  return {File::none, 0};
}

// v5, v[0:3], v5.h, s2, ttmp[4:5], vcc_lo
std::optional<RegisterRange> printed_register(std::string_view text) {
  if (auto named = named_register(text)) return named;
  RegisterRange r{.count = 1};
  if (text.ends_with(".l")) r.half = Half::low;
  if (text.ends_with(".h")) r.half = Half::high;
  if (r.half != Half::whole) text.remove_suffix(2);
  const auto letters = std::find_if(text.begin(), text.end(), [](char c) { return c < 'a' || c > 'z'; });
  const std::string_view prefix(text.data(), static_cast<std::size_t>(letters - text.begin()));
  const auto [file, offset] = file_of(prefix);
  if (file == File::none) return std::nullopt;
  std::string_view rest = text.substr(prefix.size());
  std::uint16_t first = 0, last = 0;
  if (rest.starts_with('[') && rest.ends_with(']')) {
    rest = rest.substr(1, rest.size() - 2);
    const auto colon = rest.find(':');
    if (!number(rest.substr(0, colon), first)) return std::nullopt;
    if (colon == rest.npos) {
      last = first;
    } else if (!number(rest.substr(colon + 1), last) || last < first) {
      return std::nullopt;
    }
  } else {
    if (!number(rest, first)) return std::nullopt;
    last = first;
  }
  r.file = file;
  r.first = static_cast<std::uint16_t>(first + offset);
  r.count = static_cast<std::uint8_t>(last - first + 1);
  return r;
}

// VGPR0_VGPR1, VGPR3_HI16, SGPR_NULL, VCC_LO, FLAT_SCR_LO_gfx10plus: LLVM's own names, first register and length.
RegisterRange table_register(std::string name) {
  std::ranges::transform(name, name.begin(), [](char c) { return static_cast<char>(std::tolower(c)); });
  for (std::string_view suffix : {"_gfxpre11", "_gfx9plus", "_gfx10plus", "_gfx11plus", "_vi", "_ci"}) {
    if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
  }
  Half half = Half::whole;
  if (name.ends_with("_lo16")) half = Half::low;
  if (name.ends_with("_hi16")) half = Half::high;
  if (half != Half::whole) name.resize(name.size() - 5);
  auto r = named_register(name);
  if (!r) {
    r = printed_register(name.substr(0, name.find('_')));
    if (!r) return {};
    r->count = static_cast<std::uint8_t>(std::ranges::count(name, '_') + 1);
  }
  r->half = half;
  return *r;
}

// --- the printed line

bool is_flag(std::string_view word) {
  static constexpr std::array<std::string_view, 21> kFlags{
      "glc",  "slc",   "dlc",    "sc0",  "sc1", "nt",         "clamp",
      "lds",  "offen", "idxen",  "tfe",  "gds", "row_mirror", "row_half_mirror",
      "high", "scc",   "addr64", "done", "vm",  "mul",        "div"};
  return std::ranges::find(kFlags, word) != kFlags.end();
}

// Splits at the separators outside brackets.
std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : separators[0];
    if (c == '[' || c == '(') ++depth;
    if (c == ']' || c == ')') --depth;
    if (i < text.size() && (depth > 0 || separators.find(c) == separators.npos)) continue;
    if (i > begin) parts.push_back(text.substr(begin, i - begin));
    begin = i + 1;
  }
  return parts;
}

std::optional<std::int64_t> integer_of(std::string_view text) {
  const bool minus = text.starts_with('-');
  if (minus) text.remove_prefix(1);
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return static_cast<std::int64_t>(minus ? 0 - value : value);
}

Operand operand_of(std::string_view text) {
  Operand o;
  auto wrapped = [&](std::string_view open, std::string_view close) {
    if (!text.starts_with(open) || !text.ends_with(close) || text.size() <= open.size() + close.size()) return false;
    text = text.substr(open.size(), text.size() - open.size() - close.size());
    return true;
  };
  // A minus in front of a number is the number's, unless it is printed as neg(…).
  const bool minus = text.size() > 1 && text[0] == '-' && (std::isdigit(text[1]) == 0);
  if (minus) text.remove_prefix(1);
  o.negate = minus || wrapped("neg(", ")");
  o.absolute = wrapped("|", "|") || wrapped("abs(", ")");
  o.sign_extend = wrapped("sext(", ")");
  o.text = text;
  if (auto registers = printed_register(text)) {
    o.kind = Operand::Kind::registers;
    o.registers = *registers;
  } else if (auto value = integer_of(text)) {
    o.kind = text.find("0x") != text.npos ? Operand::Kind::literal : Operand::Kind::integer;
    o.integer = *value;
  } else if (text.find('.') != text.npos && (std::isdigit(text[0]) != 0 || text[0] == '-')) {
    o.kind = Operand::Kind::real;
    o.real = std::stod(std::string(text));
  }
  return o;
}

Modifier modifier_of(std::string_view text) {
  Modifier m;
  const auto colon = text.find(':');
  m.name = text.substr(0, colon);
  if (colon == text.npos) {
    m.values = {1};
    return m;
  }
  std::string_view value = text.substr(colon + 1);
  if (value.starts_with('[') && value.ends_with(']')) {
    for (std::string_view part : split(value.substr(1, value.size() - 2), ", ")) {
      if (auto v = integer_of(part)) m.values.push_back(*v);
    }
  } else if (auto v = integer_of(value)) {
    m.values = {*v};
  } else {
    m.word = value;
  }
  return m;
}

bool is_modifier(std::string_view word) {
  const auto colon = word.find(':');
  const auto bracket = word.find_first_of("[(");
  return is_flag(word) || (colon != word.npos && (bracket == word.npos || colon < bracket));
}

void parse_line(std::string_view line, Instruction& in) {
  const auto space = line.find(' ');
  std::string_view mnemonic = line.substr(0, space);
  struct Suffix {
    std::string_view text;
    Encoding encoding;
  };
  static constexpr std::array kSuffixes{Suffix{"_e64_dpp", Encoding::dpp16}, Suffix{"_dpp", Encoding::dpp16},
                                        Suffix{"_sdwa", Encoding::sdwa}, Suffix{"_e64", Encoding::e64},
                                        Suffix{"_e32", Encoding::e32}};
  for (const Suffix& s : kSuffixes) {
    if (!mnemonic.ends_with(s.text)) continue;
    mnemonic.remove_suffix(s.text.size());
    in.encoding = s.encoding;
    break;
  }
  in.mnemonic = mnemonic;
  if (space == line.npos) return;
  for (std::string_view part : split(line.substr(space + 1), ",")) {
    for (std::string_view word : split(part, " ")) {
      if (word == "&" || word == "|") continue;
      if (is_modifier(word)) {
        in.modifiers.push_back(modifier_of(word));
      } else {
        in.operands.push_back(operand_of(word));
      }
    }
  }
  // v_cmp's mnemonic is printed without _dpp.
  if (in.has("row_mask")) in.encoding = Encoding::dpp16;
  if (in.has("dpp8")) in.encoding = Encoding::dpp8;
}

// LLVM 22 loses a bit of the last lane's where it prints v_fma_mixlo_f16 and v_fma_mixhi_f16. The control word is the
// last.
void correct_quad_perm(Instruction& in) {
  const auto m = std::ranges::find(in.modifiers, "quad_perm", &Modifier::name);
  if (in.encoding != Encoding::dpp16 || m == in.modifiers.end()) return;
  const std::uint8_t control = in.raw.at(in.raw.size() - 3);
  for (std::size_t i = 0; i < m->values.size(); ++i) m->values[i] = control >> (2 * i) & 3;
}

std::string one_line(std::string_view text) {
  std::string line;
  for (char c : text) {
    if (c == '\t' || c == '\n') c = ' ';
    if (c == ' ' && (line.empty() || line.back() == ' ')) continue;
    line += c;
  }
  while (line.ends_with(' ')) line.pop_back();
  return line;
}

}  // namespace

const Modifier* Instruction::find(std::string_view name) const {
  const auto found = std::ranges::find(modifiers, name, &Modifier::name);
  return found == modifiers.end() ? nullptr : &*found;
}

std::int64_t Instruction::value(std::string_view name, std::int64_t otherwise) const {
  const Modifier* m = find(name);
  return m && !m->values.empty() ? m->values[0] : otherwise;
}

struct Decoder::State {
  LlvmTarget target;
  std::unique_ptr<llvm::MCContext> context;
  std::unique_ptr<llvm::MCDisassembler> disassembler;
  std::unique_ptr<llvm::MCInstPrinter> printer;

  State(const Chip& chip, int lanes) : target(chip, lanes) {
    context = std::make_unique<llvm::MCContext>(target.triple, target.assembly.get(), target.registers.get(),
                                                target.subtarget.get());
    disassembler.reset(target.target->createMCDisassembler(*target.subtarget, *context));
    printer.reset(target.target->createMCInstPrinter(target.triple, 0, *target.assembly, *target.instructions,
                                                     *target.registers));
    if (!disassembler || !printer) throw std::runtime_error("LLVM has no disassembler of AMDGPU");
  }
};

Decoder::Decoder(const Chip& chip, int lanes) : state_(std::make_unique<State>(chip, lanes)) {}
Decoder::~Decoder() = default;

std::optional<Instruction> Decoder::decode(std::span<const std::byte> code, std::uint64_t address) const {
  const State& s = *state_;
  const llvm::ArrayRef<std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(code.data()), code.size());
  llvm::MCInst inst;
  std::uint64_t size = 0;
  const auto status = s.disassembler->getInstruction(inst, size, bytes, address, llvm::nulls());
  if (status != llvm::MCDisassembler::Success || size == 0 || size > code.size()) return std::nullopt;

  Instruction in;
  in.address = address;
  in.bytes = static_cast<std::uint8_t>(size);
  in.raw.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
  in.opcode = s.target.instructions->getName(inst.getOpcode()).str();
  std::string printed;
  llvm::raw_string_ostream out(printed);
  s.printer->printInst(&inst, address, "", *s.target.subtarget, out);
  in.text = one_line(printed);
  const auto pair = in.text.find(" :: ");
  parse_line(std::string_view(in.text).substr(0, pair), in);
  correct_quad_perm(in);
  if (pair != in.text.npos) {
    in.second = std::make_unique<Instruction>();
    in.second->address = address;
    in.second->bytes = in.bytes;
    in.second->opcode = in.opcode;
    in.second->text = in.text.substr(pair + 4);
    parse_line(in.second->text, *in.second);
  }

  const llvm::MCInstrDesc& desc = s.target.instructions->get(inst.getOpcode());
  auto range = [&](llvm::MCRegister reg) { return table_register(s.target.registers->getName(reg)); };
  auto keep = [](std::vector<RegisterRange>& list, RegisterRange r) {
    if (r.file != File::none && std::ranges::find(list, r) == list.end()) list.push_back(r);
  };
  for (unsigned i = 0; i < inst.getNumOperands(); ++i) {
    if (inst.getOperand(i).isReg() && inst.getOperand(i).getReg()) {
      keep(i < desc.getNumDefs() ? in.writes : in.reads, range(inst.getOperand(i).getReg()));
    }
  }
  for (llvm::MCPhysReg reg : desc.implicit_uses()) {
    const RegisterRange r = range(reg);
    if (r.file == File::mode || (r.file == File::sgpr && r.first >= kExec)) continue;
    keep(in.reads, r);
  }
  for (llvm::MCPhysReg reg : desc.implicit_defs()) keep(in.writes, range(reg));
  if ((desc.isBranch() || in.mnemonic == "s_call_b64") && !in.operands.empty() &&
      (in.operands.back().kind == Operand::Kind::integer || in.operands.back().kind == Operand::Kind::literal)) {
    in.branch = true;
    in.target = address + 4 +
                static_cast<std::uint64_t>(std::int64_t{static_cast<std::int16_t>(in.operands.back().integer)} * 4);
  }
  return in;
}

}  // namespace wavetile::emu
