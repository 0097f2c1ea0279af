// When texts end, how the batch's sequences are used, and that the plans agree.
#include "models/gpt2/generate.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>

#include "golden.h"
#include "models/gpt2/vocabulary.h"
#include "tests/support/errors.h"

namespace wavetile {
namespace {

std::unique_ptr<Model> load(ModelOptions options = {.dtype = DType::f32}, const fs::path& path = kDemo) {
  return std::make_unique<Model>(Checkpoint(path), Device::open("cpu", {.threads = 1, .level = {}}), options);
}

std::vector<int32_t> some_ids(size_t n) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>((i * i * 7919 + i * 31 + 464) % 50257));
  return ids;
}

class Generate : public testing::Test {
 protected:
  Completion run(Model& model, Request r) {
    text_.clear();
    Generator g(model, tokenizer_);
    auto all = g.run({std::move(r)}, [&](size_t, std::string_view piece) { text_ += piece; });
    steps_ = g.times().steps.size();
    EXPECT_EQ(all[0].text, text_);
    return all[0];
  }
  static Request request(std::vector<int32_t> prompt, int tokens) {
    Request r;
    r.prompt = std::move(prompt);
    r.max_tokens = tokens;
    r.keep_logits = true;
    return r;
  }

  const Tokenizer tokenizer_ = Tokenizer::load(kVocab, "");
  const std::vector<GoldenPrompt> golden_ = read_golden(kDemo);
  std::string text_;
  size_t steps_ = 0;
};

TEST_F(Generate, GivesExactlyTheTokensAskedForOrAllThatFit) {
  auto model = load();
  const GoldenPrompt& p = golden_[0];
  for (int n : {0, 1, 7}) {
    const Completion c = run(*model, request(p.ids, n));
    EXPECT_EQ(c.ids, std::vector<int32_t>(p.greedy.begin(), p.greedy.begin() + n));
    EXPECT_EQ(c.text, tokenizer_.decode(c.ids));
    EXPECT_EQ(steps_, n ? static_cast<size_t>(n) - 1 : 0);
    EXPECT_EQ(c.finish, Finish::length);
    EXPECT_EQ(c.prompt_logits.size(), 50257u);
  }
  Completion c = run(*model, request(some_ids(1024), 5));
  EXPECT_EQ(c.ids.size(), 1u);
  EXPECT_EQ(c.finish, Finish::context);
  EXPECT_EQ(run(*model, request(some_ids(1020), 5)).ids.size(), 5u);
  EXPECT_THAT(error_of([&] { run(*model, request({}, 1)); }), testing::HasSubstr("no token to read"));
  EXPECT_THAT(error_of([&] { run(*model, request({464, 50257}, 1)); }), testing::HasSubstr("50257"));
  EXPECT_THAT(error_of([&] { run(*model, request(some_ids(1025), 1)); }), testing::HasSubstr("1025 tokens do not fit"));
}

TEST_F(Generate, StopStringsEndTheTextBeforeThem) {
  auto model = load();
  const GoldenPrompt& p = golden_[1];
  const std::string whole = tokenizer_.decode(p.greedy);
  // A token that comes only once, and a longer string that begins a character before it and ends after it.
  std::vector<std::string> nested;
  for (size_t i = 1, offset = tokenizer_.decode(p.greedy[0]).size(); i + 1 < p.greedy.size() && nested.empty(); ++i) {
    const std::string piece(tokenizer_.decode(p.greedy[i]));
    if (piece.size() > 2 && whole.find(piece) == offset) nested = {piece, whole.substr(offset - 1, piece.size() + 2)};
    offset += piece.size();
  }
  ASSERT_EQ(nested.size(), 2u);
  // Strings that begin and end inside tokens, that contain each other, and that never come.
  for (const auto& stop : std::vector<std::vector<std::string>>{{whole.substr(20, 9)},
                                                                {whole.substr(41, 3), whole.substr(40, 6)},
                                                                {"\x01", whole.substr(30, 1)},
                                                                nested,
                                                                {whole + "!"}}) {
    size_t end = whole.size();
    for (const auto& s : stop) end = std::min(end, whole.find(s));
    Request r = request(p.ids, static_cast<int>(p.greedy.size()));
    r.stop = stop;
    const Completion c = run(*model, r);
    EXPECT_EQ(c.text, whole.substr(0, end));
    EXPECT_EQ(c.finish, end < whole.size() ? Finish::stop_string : Finish::length);
  }
}

TEST_F(Generate, EndOfTextEndsTheTextUnlessItIsIgnored) {
  auto model = load();
  const Completion plain = run(*model, request(golden_[1].ids, 6));
  // A vocabulary whose end is the third token that comes.
  Vocabulary vocabulary = read_vocabulary(kVocab, "");
  vocabulary.end_of_text = plain.ids[2];
  const Tokenizer other(std::move(vocabulary));
  Generator g(*model, other);
  Request r = request(golden_[1].ids, 6);
  const Completion ended = g.run({r})[0];
  EXPECT_EQ(ended.finish, Finish::end_of_text);
  EXPECT_EQ(ended.ids, std::vector<int32_t>(plain.ids.begin(), plain.ids.begin() + 3));
  EXPECT_EQ(ended.text, tokenizer_.decode(std::span(plain.ids).first(2)));
  r.ignore_end = true;
  EXPECT_EQ(g.run({r})[0].ids, plain.ids);
}

// What waits in a batch keeps the token that it has still to read.
TEST_F(Generate, ASequenceMayWait) {
  auto alone = load();
  alone->read(golden_[2].ids);
  std::vector<int32_t> expected;
  for (int i = 0; i < 4; ++i) {
    expected.push_back(alone->next());
    alone->step();
  }
  auto model = load({.dtype = DType::f32, .sequences = 2});
  model->read(golden_[1].ids, 0);
  model->read(golden_[2].ids, 1);
  std::vector<int32_t> got;
  for (int i = 0; i < 4; ++i) {
    got.push_back(model->next(1));
    for (int other = 0; other <= i; ++other) model->step({true, false});
    model->step({false, true});
  }
  EXPECT_EQ(got, expected);
}

// After the context is full, the text goes on as a new run on the last half of it does.
TEST_F(Generate, SlidingEqualsAFreshRunOnTheWindow) {
  auto model = load({.dtype = DType::f32, .context = 32});
  Request r = request(some_ids(20), 40);
  r.policy = ContextPolicy::slide;
  const Completion slid = run(*model, r);
  ASSERT_EQ(slid.ids.size(), 40u);
  // 20 + 13 tokens do not fit into 32 positions: then the last 16 of these 33 are read again.
  std::vector<int32_t> history = r.prompt;
  history.insert(history.end(), slid.ids.begin(), slid.ids.begin() + 13);
  const Completion fresh = run(*model, request({history.end() - 16, history.end()}, 17));
  EXPECT_EQ(std::vector<int32_t>(slid.ids.begin() + 13, slid.ids.begin() + 30), fresh.ids);
  r.policy = ContextPolicy::stop;
  EXPECT_EQ(run(*model, r).ids, std::vector<int32_t>(slid.ids.begin(), slid.ids.begin() + 13));
}

// Line after line over one cache gives what one prompt of everything gives.
TEST_F(Generate, ATextCanBeContinued) {
  auto model = load();
  Generator g(*model, tokenizer_);
  std::vector<int32_t> all;
  std::vector<int32_t> last;
  for (const auto& line : {golden_[0].ids, golden_[1].ids, golden_[2].ids}) {
    Request r = request(line, 5);
    r.continues = true;
    last = g.run({r})[0].ids;
    all.insert(all.end(), line.begin(), line.end());
    EXPECT_EQ(model->position(), static_cast<int>(all.size()) + 4);
    all.insert(all.end(), last.begin(), last.end());
  }
  auto other = load();
  EXPECT_EQ(run(*other, request({all.begin(), all.end() - 5}, 5)).ids, last);
}

TEST_F(Generate, LogprobsAreThoseOfTheLogits) {
  auto model = load();
  Request r = request(golden_[2].ids, 1);
  r.logprobs = 5;
  const Completion c = run(*model, r);
  double sum = 0;
  for (float l : c.prompt_logits) sum += std::exp(static_cast<double>(l));
  ASSERT_EQ(c.logprobs.size(), 1u);
  EXPECT_NEAR(c.logprobs[0].chosen, c.prompt_logits[static_cast<size_t>(c.ids[0])] - std::log(sum), 1e-9);
  ASSERT_EQ(c.logprobs[0].top.size(), 5u);
  EXPECT_EQ(c.logprobs[0].top[0], std::pair(c.ids[0], c.logprobs[0].chosen));
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(c.logprobs[0].top[i].first, golden_[2].top[i].first);
    if (i > 0) {
      EXPECT_LT(c.logprobs[0].top[i].second, c.logprobs[0].top[i - 1].second);
    }
  }
}

// Weights of a finite size whose products are not.
TEST_F(Generate, LogitsThatAreNotNumbersAreAnError) {
  TempDir dir;
  copy_with(dir.path(), "h.5.attn.c_attn.bias", {7, 128 + 7}, 0x7f7f);  // the largest bf16, in a query and a key
  auto model = load({.dtype = DType::bf16}, dir.path());
  EXPECT_THROW(run(*model, request(golden_[1].ids, 20)), BadLogits);
}

TEST(Weights, NanIsRefusedAtLoad) {
  for (auto [tensor, element] : {std::pair{"h.5.mlp.c_fc.weight", size_t{700}},
                                 {"wte.weight", size_t{128 * 40000 + 3}},
                                 {"wpe.weight", size_t{128 * 12}}}) {
    TempDir dir;
    copy_with_nan(dir.path(), tensor, element);
    EXPECT_THAT(error_of([&] { load({.dtype = DType::bf16}, dir.path()); }), testing::HasSubstr(tensor));
  }
}

// ------------------------------------------------------------------------------------------- plans

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    const double d = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    worst = std::isfinite(d) ? std::max(worst, d) : INFINITY;
  }
  return worst;
}

// Both plans, with and without the cache, after prompts of several lengths and after each of some steps.
TEST(Plans, GiveTheSameLogits) {
  const auto golden = read_golden(kDemo);
  double worst = 0;
  std::vector<std::vector<float>> expected;
  for (PlanKind plan : {PlanKind::fused, PlanKind::unfused})
    for (bool cache : {true, false}) {
      auto model = load({.dtype = DType::f32, .plan = plan, .context = cache ? 0 : 80, .cache = cache});
      size_t at = 0;
      for (const auto& ids : {golden[0].ids, golden[3].ids, some_ids(67)}) {
        model->reset();
        model->read(ids);
        for (int i = 0; i < 6; ++i) {
          if (i) model->step();
          const auto logits = model->logits();
          if (plan == PlanKind::fused && cache)
            expected.push_back(logits);
          else
            worst = std::max(worst, largest_difference(logits, expected[at++]));
        }
      }
    }
  EXPECT_LE(worst, 1e-4);
  std::printf("logits of the plans differ by at most %.2g\n", worst);
}

TEST(Plans, UnfusedGivesTheGoldenTokens) {
  int steps = 0;
  auto model = load({.dtype = DType::f32, .plan = PlanKind::unfused});
  for (const GoldenPrompt& p : read_golden(kDemo)) {
    model->reset();
    model->read(p.ids);
    for (size_t i = 0; i < p.greedy.size(); ++i, ++steps) {
      if (i) model->step();
      ASSERT_EQ(model->next(), p.greedy[i]) << "step " << i;
    }
  }
  std::printf("%d steps checked\n", steps);
}

}  // namespace
}  // namespace wavetile
