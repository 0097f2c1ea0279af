// The tokenizer against ids that two other implementations agree on (tests/reference/tokenizer.py).
#include "models/gpt2/tokenizer.h"
#include "tests/support/errors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "dsl/error.h"
#include "tests/support/temp_dir.h"

namespace wavetile {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = WAVETILE_SOURCE_DIR;
const fs::path kVocab = kRoot / "models/gpt2/vocab";

const Tokenizer& tokenizer() {
  static const Tokenizer instance = Tokenizer::load(kVocab, "");
  return instance;
}

std::string utf8(uint32_t c) {
  std::string out;
  auto push = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80)
    push(c);
  else if (c < 0x800)
    push(0xc0 | c >> 6), push(0x80 | (c & 63));
  else if (c < 0x10000)
    push(0xe0 | c >> 12), push(0x80 | (c >> 6 & 63)), push(0x80 | (c & 63));
  else
    push(0xf0 | c >> 18), push(0x80 | (c >> 12 & 63)), push(0x80 | (c >> 6 & 63)), push(0x80 | (c & 63));
  return out;
}

TEST(Tokenizer, AgreesWithReferences) {
  const auto cases = nlohmann::json::parse(read_file(kRoot / "tests/golden/tokenizer.json"));
  ASSERT_GE(cases.size(), 400u);
  for (const auto& item : cases) {
    const auto text = item["text"].get<std::string>();
    const auto ids = item["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer().encode(text), ids) << item["text"];
    EXPECT_EQ(tokenizer().decode(ids), text);
  }
}

TEST(Tokenizer, EncodesPromptsOfDemoGolden) {
  const auto golden = nlohmann::json::parse(read_file(kRoot / "models/gpt2/demo/golden.json"));
  ASSERT_FALSE(golden["prompts"].empty());
  for (const auto& item : golden["prompts"])
    EXPECT_EQ(tokenizer().encode(item["prompt"].get<std::string>()), item["ids"].get<std::vector<int32_t>>());
}

TEST(Tokenizer, RoundTripsRandomUnicode) {
  const unsigned seed = 20240326;
  std::mt19937 rng(seed);
  const std::pair<uint32_t, uint32_t> ranges[] = {{0, 0x7f},       {0x20, 0x20},      {0, 0x7ff},
                                                  {0x800, 0xd7ff}, {0xe000, 0xffff},  {0x10000, 0x10ffff},
                                                  {0x9, 0xd},      {0x1f300, 0x1f6ff}};
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (unsigned length = rng() % 60; length > 0; --length) {
      const auto [low, high] = ranges[rng() % std::size(ranges)];
      text += rng() % 50 == 0 ? std::string(Tokenizer::kEndOfText) : utf8(low + rng() % (high - low + 1));
    }
    const std::vector<int32_t> ids = tokenizer().encode(text);
    ASSERT_EQ(tokenizer().decode(ids), text) << "seed " << seed << ", case " << i;
    Utf8Stream stream;
    std::string streamed;
    for (int32_t id : ids) streamed += stream.push(tokenizer().decode(id));
    ASSERT_EQ(streamed + stream.flush(), text) << "seed " << seed << ", case " << i;
  }
}

// Quadratic merging would take minutes here.
TEST(Tokenizer, EncodesVeryLongWords) {
  for (const std::string unit : {"a", " ", "\n", "!", "7", "\xc3\xa9", "\n ", "' "}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    EXPECT_EQ(tokenizer().decode(tokenizer().encode(text + "x")), text + "x") << unit;
  }
}

TEST(Tokenizer, EveryIdDecodes) {
  EXPECT_EQ(tokenizer().vocab_size(), 50257);
  EXPECT_EQ(tokenizer().end_of_text(), 50256);
  EXPECT_EQ(tokenizer().decode(50256), "<|endoftext|>");
  EXPECT_EQ(tokenizer().decode(220), " ");
  std::vector<int32_t> all(50257);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
  EXPECT_EQ(tokenizer().decode(all).size(), 320827u);
  expect_contains(error_of([] { tokenizer().decode(50257); }), {"token id 50257", "0 to 50256"});
  expect_contains(error_of([] { tokenizer().decode(-1); }), {"token id -1"});
}

TEST(Tokenizer, InvalidUtf8NamesTheOffset) {
  const std::pair<std::string, const char*> cases[] = {{"\x80", "offset 0"},
                                                       {"ab\xff", "offset 2"},
                                                       {"caf\xc3", "offset 3"},
                                                       {"\xc0\xaf", "offset 0"},
                                                       {"x\xe0\x80\x80", "offset 1"},
                                                       {"\xed\xa0\x80", "offset 0"},
                                                       {"\xf4\x90\x80\x80", "offset 0"},
                                                       {"\xf5", "offset 0"},
                                                       {"\xe4\xb8\xad\xe4\xb8", "offset 3"},
                                                       {"a<|endoftext|>\xfe", "offset 14"}};
  for (const auto& [text, phrase] : cases)
    expect_contains(error_of([&, &text = text] { tokenizer().encode(text); }), {"not valid UTF-8", phrase});
}

TEST(Tokenizer, IdsFollowFromMerges) {
  TempDir dir;
  write_file(dir / "merges.txt", read_file(kVocab / "vocab.bpe"));
  const Tokenizer derived = Tokenizer::load(dir.path(), "");
  ASSERT_EQ(derived.vocab_size(), tokenizer().vocab_size());
  for (int32_t id = 0; id < derived.vocab_size(); ++id) ASSERT_EQ(derived.decode(id), tokenizer().decode(id));
  EXPECT_EQ(derived.encode("Hello, world!"), tokenizer().encode("Hello, world!"));
}

// A directory with llm.c's gpt2_tokenizer.bin alone, made from the published files.
void write_llmc_tokenizer(const TempDir& dir, int32_t version) {
  std::string bytes = to_llmc_tokenizer(read_vocabulary(kVocab, ""));
  bytes[4] = static_cast<char>(version);
  if (version == 1) bytes.replace(12, 4, 4, '\0');  // where version 2 has the end of text
  write_file(dir / "gpt2_tokenizer.bin", bytes);
}

// Its first bytes, by hand from llm.c's train_gpt2.py (write_tokenizer).
TEST(LlmcTokenizer, HasLlmcsLayout) {
  TempDir dir;
  write_llmc_tokenizer(dir, 2);
  const std::string bytes = read_file(dir / "gpt2_tokenizer.bin");
  int32_t header[4];
  std::memcpy(header, bytes.data(), sizeof header);
  EXPECT_EQ(header[0], 20240328);
  EXPECT_EQ(header[1], 2);
  EXPECT_EQ(header[2], 50257);
  EXPECT_EQ(header[3], 50256);
  EXPECT_EQ(bytes.substr(1024, 4), "\1!\1\"");
  EXPECT_EQ(bytes.substr(bytes.size() - 14), "\x0d<|endoftext|>");
  EXPECT_EQ(bytes.size(), 1024 + 50257 + 320827u);
}

std::string random_text(std::mt19937& rng) {
  static const char* const words[] = {"the",
                                      " The",
                                      "ing",
                                      " 12345",
                                      "'re",
                                      "\n\n",
                                      "  ",
                                      "aaaa",
                                      " antidisestablishmentarianism",
                                      "\xc3\xa9",
                                      "\xe6\x9d\xb1\xe4\xba\xac",
                                      "\xf0\x9f\x9a\x80",
                                      "!!!",
                                      "-----",
                                      "<|endoftext|>"};
  std::string text;
  for (unsigned n = rng() % 40; n > 0; --n) {
    if (rng() % 3 == 0)
      text += words[rng() % std::size(words)];
    else if (rng() % 8 == 0)
      text += utf8(0x80 + rng() % 0x700);
    else
      text += static_cast<char>(rng() % 4 ? 'a' + rng() % 26 : 1 + rng() % 127);
  }
  return text;
}

// Its merges follow from the ids, and every text must come out as with the published merges.
TEST(LlmcTokenizer, EncodesAsVocabBpeDoes) {
  for (int32_t version : {1, 2}) {
    TempDir dir;
    write_llmc_tokenizer(dir, version);
    write_file(dir / "model.bin", "");
    const Tokenizer llmc = Tokenizer::load(dir / "model.bin", "");
    ASSERT_EQ(llmc.vocab_size(), 50257);
    EXPECT_EQ(llmc.end_of_text(), 50256);
    for (const auto& item : nlohmann::json::parse(read_file(kRoot / "tests/golden/tokenizer.json")))
      ASSERT_EQ(llmc.encode(item["text"].get<std::string>()), item["ids"].get<std::vector<int32_t>>()) << item["text"];
    std::mt19937 rng(20240328);
    for (int i = 0; i < 20000; ++i) {
      const std::string text = random_text(rng);
      ASSERT_EQ(llmc.encode(text), tokenizer().encode(text)) << "case " << i << ": " << text;
    }
    for (int32_t id = 0; id < llmc.vocab_size(); ++id) {  // a token's own bytes, where they are UTF-8
      Utf8Stream stream;
      const std::string text = stream.push(llmc.decode(id)) + stream.flush();
      ASSERT_EQ(llmc.encode(text), tokenizer().encode(text)) << id;
    }
  }
}

TEST(LlmcTokenizer, GivesThePublishedFilesBack) {
  TempDir dir;
  write_llmc_tokenizer(dir, 2);
  const Vocabulary v = read_vocabulary(dir.path(), "");
  const std::string published = read_file(kVocab / "vocab.bpe"), merges = to_merges_txt(v);
  EXPECT_EQ(merges.substr(merges.find('\n')), published.substr(published.find('\n')));
  EXPECT_EQ(nlohmann::json::parse(to_vocab_json(v)), nlohmann::json::parse(read_file(kVocab / "encoder.json")));
}

TEST(LlmcTokenizer, PublishedFilesComeFirst) {
  TempDir dir;
  write_file(dir / "gpt2_tokenizer.bin", "damaged");
  write_file(dir / "merges.txt", "h e\n");
  EXPECT_EQ(Tokenizer::load(dir.path(), kVocab).vocab_size(), 258);
}

TEST(Tokenizer, FileOfIdsWinsOverDerivation) {
  TempDir dir;
  auto ids = nlohmann::json::parse(read_file(kVocab / "encoder.json"));
  std::swap(ids["A"], ids["B"]);
  write_file(dir / "vocab.json", ids.dump());
  write_file(dir / "merges.txt", read_file(kVocab / "vocab.bpe"));
  EXPECT_EQ(Tokenizer::load(dir.path(), "").encode("A"), std::vector<int32_t>{33});
  EXPECT_EQ(tokenizer().encode("A"), std::vector<int32_t>{32});
}

TEST(Tokenizer, FallsBackOnlyWhereDirectoryHasNoVocabulary) {
  TempDir dir;
  EXPECT_EQ(Tokenizer::load(dir.path(), kVocab).vocab_size(), 50257);
  write_file(dir / "merges.txt", "h e\n");
  EXPECT_EQ(Tokenizer::load(dir.path(), kVocab).vocab_size(), 258);
}

TEST(Tokenizer, MalformedVocabularies) {
  std::string bytes;  // a vocabulary of the 256 bytes, left open at its end
  nlohmann::json small;
  const auto ids = nlohmann::json::parse(read_file(kVocab / "encoder.json"));
  for (const auto& [token, id] : ids.items())
    if (id < 256) small[token] = id;
  bytes = small.dump();
  bytes.pop_back();
  const std::string end = R"(,"<|endoftext|>":256})";
  struct Case {
    std::string merges, ids;  // a file that is empty here is not written, "-" is an empty file
    std::vector<std::string> phrases;
  };
  const Case cases[] = {
      {"", "", {"no vocab.bpe, merges.txt or gpt2_tokenizer.bin"}},
      {"", bytes + end, {"vocab.json", "no merges"}},
      {"#version: 0.2\nhe\n", "", {"merges.txt:2", "two tokens"}},
      {"h e\n h\n", "", {"merges.txt:2", "two tokens"}},
      {"h e\nh \n", "", {"merges.txt:2", "two tokens"}},
      {"h e x\n", "", {"merges.txt:1", "alphabet"}},
      {"h e\r\n", "", {"merges.txt:1", "alphabet"}},
      {"h \xff\n", "", {"merges.txt:1", "alphabet"}},
      {"h e\nhe llo\n", "", {"merges.txt:2", "right token"}},
      {"h e\nh e\n", "", {"merges.txt", "same bytes"}},
      {"h e\n", bytes + end, {"merges.txt:1", "merged token"}},
      {"h e\nh e\n", bytes + R"(,"he":257)" + end, {"merges.txt:2", "earlier line"}},
      {"h e\n", "-", {"vocab.json", "not valid JSON"}},
      {"h e\n", bytes, {"vocab.json", "not valid JSON"}},
      {"h e\n", "[1]", {"vocab.json", "top level", "array"}},
      {"h e\n", "3", {"vocab.json", "top level", "number"}},
      {"h e\n", R"({"a":{"b":1}})", {"vocab.json", "\"a\"", "object"}},
      {"h e\n", R"({"a":-1})", {"vocab.json", "\"a\"", "negative"}},
      {"h e\n", R"({"a":0.5})", {"vocab.json", "\"a\"", "fraction"}},
      {"h e\n", R"({"a":"b"})", {"vocab.json", "\"a\"", "string"}},
      {"h e\n", R"({"a":7})", {"vocab.json", "\"a\"", "id 7 is out of range"}},
      {"h e\n", R"({"a":18446744073709551615})", {"vocab.json", "\"a\"", "out of range"}},
      {"h e\n", R"({"a":0,"b":0})", {"vocab.json", "\"b\"", "taken"}},
      {"h e\n", R"({"a":0,"a":1})", {"vocab.json", "same bytes"}},
      {"h e\n", R"({"a b":0})", {"vocab.json", "\"a b\"", "alphabet"}},
      {"h e\n", R"({"":0})", {"vocab.json", "\"\"", "alphabet"}},
      {"h e\n", R"({"a":0})", {"vocab.json", "byte 0x00", "missing"}},
      {"h e\n", bytes + "}", {"vocab.json", "<|endoftext|>", "missing"}},
  };
  for (const Case& c : cases) {
    TempDir dir;
    if (!c.merges.empty()) write_file(dir / "merges.txt", c.merges);
    if (!c.ids.empty()) write_file(dir / "vocab.json", c.ids == "-" ? "" : c.ids);
    expect_contains(error_of([&] { Tokenizer::load(dir.path(), dir / "none"); }), c.phrases);
  }
  TempDir long_token;  // what is wrong is said without quoting it all
  write_file(long_token / "merges.txt", "h e\n");
  write_file(long_token / "vocab.json", "{\"" + std::string(100'000, 'a'));
  EXPECT_LT(error_of([&] { Tokenizer::load(long_token.path(), ""); }).size(), 1000u);
  TempDir dir;
  fs::create_directory(dir / "vocab.bpe");
  expect_contains(error_of([&] { Tokenizer::load(dir.path(), ""); }), {"vocab.bpe", "is a directory"});
}

TEST(Utf8Stream, ReturnsWholeCharacters) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xf0\x9f"), "a");
  EXPECT_EQ(stream.push("\x98"), "");
  EXPECT_EQ(stream.push("\x80"
                        "b"),
            "\xf0\x9f\x98\x80"
            "b");
  EXPECT_EQ(stream.flush(), "");
}

// The expected texts are Python's bytes.decode(errors='replace').
TEST(Utf8Stream, ReplacesWhatCannotBecomeValid) {
  const std::string r = "\xef\xbf\xbd";
  const std::pair<std::string, std::string> cases[] = {{"\x80", r},
                                                       {"a\xc3", "a" + r},
                                                       {"\xf0\x9f\x98", r},
                                                       {"\xf0\x9f"
                                                        "a",
                                                        r + "a"},
                                                       {"\xe0\x80\x80", r + r + r},
                                                       {"\xed\xa0\x80", r + r + r},
                                                       {"\xf4\x90\x80\x80", r + r + r + r},
                                                       {"\xe4\xb8\xe4\xb8\xad", r + "\xe4\xb8\xad"},
                                                       {"\xff\xfe", r + r}};
  for (const auto& [bytes, text] : cases) {
    Utf8Stream whole, single;
    std::string out = whole.push(bytes), pieces;
    for (char byte : bytes) pieces += single.push({&byte, 1});
    EXPECT_EQ(out + whole.flush(), text);
    EXPECT_EQ(pieces + single.flush(), text);
  }
}

}  // namespace
}  // namespace wavetile
