// Reads the blocks of vector instructions.
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>

#include "tests/emulator/vector_cases.h"

namespace wavetile::emu::testing {
namespace {

using Bits = std::array<std::uint32_t, 4>;

Bits parse_bits(const std::string& text) {
  Bits out{};
  int shift = 0;
  for (auto c = text.rbegin(); c != text.rend(); ++c, shift += 4) {
    const auto digit = static_cast<std::uint32_t>(std::stoi(std::string(1, *c), nullptr, 16));
    out.at(static_cast<std::size_t>(shift / 32)) |= digit << (shift % 32);
  }
  return out;
}

Result parse_result(const std::string& text) {
  if (text == "nan") return {{}, Expected::Kind::nan, 0};
  const auto tilde = text.find('~');
  if (tilde == std::string::npos) return {parse_bits(text), Expected::Kind::exact, 0};
  return {parse_bits(text.substr(0, tilde)), Expected::Kind::near, std::stoull(text.substr(tilde + 1), nullptr, 16)};
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) out.push_back(part);
  return out;
}
std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

Block parse_head(const std::string& line) {
  const auto fields = split(line, '|');
  if (fields.size() < 3) throw std::runtime_error("a block needs three fields: " + line);
  Block b;
  b.mnemonics = words(fields[0]);
  const auto sides = split(fields[1], '=');
  b.results = words(sides.at(0));
  b.sources = words(sides.at(1));
  if (b.sources.back()[0] == '+') {
    b.tied = true;
    b.sources.back().erase(0, 1);
  }
  for (const std::string& family : words(fields[2])) (family == "rdna3" ? b.rdna3 : b.cdna3) = true;
  for (const std::string& note : fields.size() > 3 ? words(fields[3]) : std::vector<std::string>{}) {
    if (note == "keep") {
      b.keep = true;
    } else if (note == "loose") {
      b.loose = true;
    } else if (note == "exact") {
      b.exact = true;
    } else if (note.substr(0, 5) == "mode=") {
      b.mode = std::stoi(note.substr(5), nullptr, 16);
    } else {
      b.modifiers += " " + note;
    }
  }
  return b;
}

void parse_cases(const std::string& line, Block& b) {
  for (const std::string& text : split(line, ';')) {
    const auto sides = split(text, '>');
    Case c;
    for (const std::string& w : words(sides.at(0))) c.in.push_back(parse_bits(w));
    for (const std::string& w : words(sides.at(1))) c.out.push_back(parse_result(w));
    if (c.in.size() != b.sources.size() || c.out.size() != b.results.size()) {
      throw std::runtime_error("a case with another number of operands: " + text);
    }
    b.cases.push_back(std::move(c));
  }
}

}  // namespace

std::vector<Block> read_blocks(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::vector<Block> blocks;
  const std::string name = path.substr(path.rfind('/') + 1);
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    if (line[0] != ' ') {
      blocks.push_back(parse_head(line));
      blocks.back().where = fmt::format("{}:{}", name, number);
    } else {
      parse_cases(line, blocks.at(blocks.size() - 1));
    }
  }
  return blocks;
}

}  // namespace wavetile::emu::testing
