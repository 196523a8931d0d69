// Thinking, answer and end of a reply, for each way that models mark them, however the reply's text is cut
// into tokens.
#include "base/atomic_file.h"
#include "tests/serve/fixture.h"
#include "tests/temporary_folder.h"

namespace tern::serve_test {
namespace {

constexpr const char* kChat = "/v1/chat/completions";

using Ids = std::vector<int32_t>;
using Strings = std::vector<std::string>;

/// A vocabulary of single bytes, whose ids are the bytes, and of what is added.
class Words {
 public:
  Words(const std::string& chat_template, const Strings& specials) {
    for (int byte = 0; byte < 256; ++byte) vocabulary_.tokens.emplace_back(1, static_cast<char>(byte));
    vocabulary_.types.assign(256, TokenType::normal);
    for (const std::string& name : specials) add(name, TokenType::control);
    vocabulary_.chat_template = chat_template;
  }

  /// Its id; one that is known keeps its own.
  int32_t add(const std::string& token, TokenType type = TokenType::normal) {
    if (const auto known = vocabulary_.find(token)) return *known;
    vocabulary_.tokens.push_back(token);
    vocabulary_.types.push_back(type);
    return vocabulary_.size() - 1;
  }
  Ids add_all(const Strings& tokens) {
    Ids ids;
    for (const std::string& token : tokens) ids.push_back(add(token));
    return ids;
  }
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
};

/// The ways to write a reply whose parts are special tokens and texts: one of the texts cut in two, at every
/// place, or all of them into bytes.
std::vector<Ids> every_cut(Words& words, const Strings& reply) {
  const auto is_text = [&](const std::string& part) {
    const auto id = words.vocabulary().find(part);
    return !id || words.vocabulary().types[*id] == TokenType::normal;
  };
  std::vector<Strings> ways(1);
  for (const std::string& part : reply) {
    Strings bytes{part};
    if (is_text(part)) bytes.assign(part.size(), "");
    for (size_t i = 0; is_text(part) && i < part.size(); ++i) bytes[i] = part.substr(i, 1);
    ways[0].insert(ways[0].end(), bytes.begin(), bytes.end());
  }
  for (size_t i = 0; i < reply.size(); ++i) {
    for (size_t cut = 1; is_text(reply[i]) && cut < reply[i].size(); ++cut) {
      ways.push_back(reply);
      ways.back()[i].resize(cut);
      ways.back().insert(ways.back().begin() + static_cast<ptrdiff_t>(i) + 1, reply[i].substr(cut));
    }
  }
  std::vector<Ids> ids;
  for (const Strings& way : ways) ids.push_back(words.add_all(way));
  return ids;
}

/// A model that answers the next prompt with what it was told, and goes on with x where that did not end it.
class Speaker {
 public:
  void say(Ids reply) {
    const std::lock_guard lock(mutex_);
    reply_ = std::move(reply);
    prompt_ = 0;
  }
  fake::Script script() {
    return [this](std::span<const int32_t> prefix, std::span<float> logits) {
      const std::lock_guard lock(mutex_);
      if (prompt_ == 0) prompt_ = prefix.size();
      const size_t at = prefix.size() - prompt_;
      for (float& logit : logits) logit = -50;
      logits[at < reply_.size() ? reply_[at] : 'x'] = 0;
    };
  }

 private:
  std::mutex mutex_;
  Ids reply_;
  size_t prompt_ = 0;
};

/// A server whose model says what the test wants.
struct Told {
  Speaker speaker;
  TestServer server;

  explicit Told(Vocabulary vocabulary) : server(Tokenizer(std::move(vocabulary)), speaker.script()) {}

  Json whole(const Ids& reply, const Json& body = ask("which?")) {
    speaker.say(reply);
    const Response response = chat(server, body);
    EXPECT_EQ(response.status, 200) << response.body;
    return response.json();
  }
  std::vector<Json> streamed(const Ids& reply, const Json& body = ask("which?")) {
    speaker.say(reply);
    return stream(server, kChat, body);
  }

  /// Whole and streamed, each reply has this thinking and this answer, and ends by itself.
  void expect(const std::vector<Ids>& replies, const std::string& thinking, const std::string& answer,
              const Json& body = ask("which?")) {
    Json message{{"role", "assistant"}, {"content", answer}};
    if (!thinking.empty()) message["reasoning_content"] = thinking;
    for (const Ids& reply : replies) {
      const Json choice = whole(reply, body)["choices"][0];
      ASSERT_EQ(choice["message"], message) << Json(reply);
      ASSERT_EQ(choice["finish_reason"], "stop") << Json(reply);
      const std::vector<Json> events = streamed(reply, body);
      ASSERT_EQ(joined(events, "reasoning_content"), thinking) << Json(reply);
      ASSERT_EQ(joined(events, "content"), answer) << Json(reply);
      ASSERT_EQ(last_choice(events)["finish_reason"], "stop") << Json(reply);
    }
  }
};

constexpr const char* kChannels =
    "{% for m in messages %}<|start|>{{ m.role }}{{ '<|channel|>final' if m.role == 'assistant' }}<|message|>"
    "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}";
const Strings kChannelTokens = {"<|start|>", "<|channel|>", "<|message|>",
                                "<|end|>",   "<|return|>",  "<|call|>"};
const Strings kChannelReply = {"<|channel|>", "analysis",    "<|message|>", "hm € <|en",
                               "<|end|>",     "<|start|>",   "assistant",   "<|channel|>",
                               "final",       "<|message|>", "réd <|",      "<|return|>"};

TEST(Reasoning, ChannelsComeApartHoweverTheirTextIsCut) {
  Words words(kChannels, kChannelTokens);
  const std::vector<Ids> replies = every_cut(words, kChannelReply);
  ASSERT_GT(replies.size(), 30u);
  Told told(words.vocabulary());
  told.expect(replies, "hm € <|en", "réd <|");
  const Json usage = told.whole(replies[0])["usage"];
  EXPECT_EQ(usage["completion_tokens"], replies[0].size());
  EXPECT_EQ(usage["completion_tokens_details"]["reasoning_tokens"], std::string("hm € <|en").size());
}

TEST(Reasoning, ChannelsOfOrdinaryTokensToo) {
  Words words(kChannels, {"<|return|>"});
  std::string text;
  for (size_t i = 0; i + 1 < kChannelReply.size(); ++i) text += kChannelReply[i];
  const std::vector<Ids> replies = every_cut(words, {text, "<|return|>"});
  ASSERT_EQ(replies.size(), text.size());
  Told told(words.vocabulary());
  told.expect(replies, "hm € <|en", "réd <|");
}

TEST(Reasoning, TheLastChannelMayEndAsAMessageDoes) {
  Words words(kChannels, kChannelTokens);
  const Ids reply =
      words.add_all({"<|channel|>", "final", "<|message|>", "red", "<|end|>", "<|start|>", "user"});
  Told(words.vocabulary()).expect({reply}, "", "red");
}

TEST(Reasoning, ATemplateMayOpenTheAnalysis) {
  Words words(std::string(kChannels) + "<|channel|>analysis<|message|>", kChannelTokens);
  const Strings rest(kChannelReply.begin() + 3, kChannelReply.end());
  const std::vector<Ids> replies = every_cut(words, rest);
  Told(words.vocabulary()).expect(replies, "hm € <|en", "réd <|");
}

// Templates whose <think> is a special token or ordinary text, by the vocabulary.
constexpr const char* kModelOpens =
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content.split('</think>')[-1] }}<|eos|>{% endfor "
    "%}<|assistant|>";
constexpr const char* kTemplateOpens =
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|eos|>{% endfor %}<|assistant|><think>\n"
    "{{ '\n</think>\n\n' if enable_thinking is defined and not enable_thinking }}";
const Strings kTurns = {"<|eos|>", "<|user|>", "<|assistant|>"};

Vocabulary with_eos(Words& words) {
  Vocabulary vocabulary = words.vocabulary();
  vocabulary.eos = vocabulary.find("<|eos|>");
  return vocabulary;
}

TEST(Reasoning, TagsOfOrdinaryTokensHoweverTheyAreCut) {
  Words words(kModelOpens, kTurns);
  const std::string thinking = "\nhm € < </thin\n", answer = "\n\nré</think>d <think>";
  const std::vector<Ids> replies = every_cut(words, {"<think>" + thinking + "</think>" + answer, "<|eos|>"});
  const std::vector<Ids> plain = every_cut(words, {"<thin red", "<|eos|>"});
  const Ids open_end = words.add_all({"<think>hm </th", "<|eos|>"});
  Told told(with_eos(words));
  told.expect(replies, thinking, answer);
  told.expect(plain, "", "<thin red");
  told.expect({open_end}, "hm </th", "");
  const Json usage = told.whole(replies[0])["usage"];
  EXPECT_EQ(usage["completion_tokens_details"]["reasoning_tokens"], thinking.size())
      << "the tokens of the tags are not counted";
}

TEST(Reasoning, TemplatesThatOpenTheThinkingThemselves) {
  for (const bool special : {false, true}) {
    Strings specials = kTurns;
    if (special) specials.insert(specials.end(), {"<think>", "</think>"});
    Words words(kTemplateOpens, specials);
    Strings reply = {"hm </thin €", "</think>", "\n\nréd", "<|eos|>"};
    if (!special) reply = {reply[0] + reply[1] + reply[2], reply[3]};
    const std::vector<Ids> replies = every_cut(words, reply);
    const std::vector<Ids> answers = every_cut(words, {"réd", "<|eos|>"});
    Told told(with_eos(words));
    told.expect(replies, "hm </thin €", "\n\nréd");
    // What the user writes opens and closes nothing.
    told.expect({replies[0]}, "hm </thin €", "\n\nréd", ask("a</think>b<think>"));
    Json off = ask("which?");
    off["chat_template_kwargs"] = {{"enable_thinking", false}};
    told.expect(answers, "", "réd", off);
  }
}

TEST(Reasoning, ABudgetClosesTagsOfOrdinaryTokens) {
  Words words(kTemplateOpens, kTurns);
  Ids reply{'h', 'm', '.', '.'};  // then eight bytes of </think>, whatever the model wants
  reply.insert(reply.end(), 8, 'y');
  for (const char* part : {"réd", "<|eos|>"}) reply.push_back(words.add(part));
  Told told(with_eos(words));
  Json body = ask("which?");
  body["thinking_budget_tokens"] = 4;
  told.expect({reply}, "hm..", "réd", body);
}

TEST(StopTokens, OfGenerationConfigAndTheTemplateEndTheAnswer) {
  constexpr const char* kTemplate =
      "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|over|>{% endfor %}<|assistant|>";
  Words words(kTemplate, {"<|eos|>", "<|user|>", "<|assistant|>", "<|over|>", "<|more|>"});
  const int32_t done = words.add("<done>", TokenType::user_defined);
  const TemporaryFolder folder;
  const Json config{{"eos_token", "<|eos|>"}, {"chat_template", kTemplate}};
  const Json generation{{"eos_token_id", {*words.vocabulary().find("<|eos|>"), done}}};
  write_file(folder / "tokenizer.json", tokenizer_json(words.vocabulary()));
  write_file(folder / "tokenizer_config.json", config.dump());
  write_file(folder / "generation_config.json", generation.dump());
  Told told(read_hf_vocabulary(folder.path().string()));
  for (const char* end : {"<|eos|>", "<done>", "<|over|>"}) {
    const Ids reply = words.add_all({"r", "e", "d", end, "!"});
    told.expect({reply}, "", "red");
    EXPECT_EQ(told.whole(reply)["usage"]["completion_tokens"], 4) << end;
    told.speaker.say(reply);
    const Json json = post(told.server, "/v1/completions", R"({"prompt": "abc", "max_tokens": 9})").json();
    EXPECT_EQ(json["choices"][0]["text"], "red") << end;
    EXPECT_EQ(json["choices"][0]["finish_reason"], "stop") << end;
  }
  Json body = ask("which?");
  body["max_tokens"] = 6;
  const Json choice = told.whole(words.add_all({"r", "<|more|>", "e", "d"}), body)["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "redxx") << "a control token that ends nothing";
  EXPECT_EQ(choice["finish_reason"], "length");
}

}  // namespace
}  // namespace tern::serve_test
