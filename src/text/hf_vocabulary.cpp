// The files of a Hugging Face folder that say what a tokenizer is.
#include <algorithm>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"
#include "text/bounded_json.h"
#include "text/special_tokens.h"
#include "text/vocabulary.h"

namespace tern {
namespace {

constexpr size_t kMostTokenizerBytes = size_t{128} << 20;
constexpr size_t kMostOtherBytes = size_t{16} << 20;

class Folder {
 public:
  explicit Folder(const std::string& path) : path_(path) {}

  Vocabulary read() {
    const std::string tokenizer = path_ + "/tokenizer.json";
    if (!std::filesystem::exists(tokenizer)) {
      fail(ErrorKind::unsupported, "{} is missing: tern reads no other tokenizer of a folder", tokenizer);
    }
    vocabulary_ = parse_tokenizer_json(read_file(tokenizer, kMostTokenizerBytes), tokenizer);
    pad_to_model(optional_json("config.json"));
    read_config("special_tokens_map.json", optional_json("special_tokens_map.json"));
    const Json config = optional_json("tokenizer_config.json");
    add_tokens(config);
    read_config("tokenizer_config.json", config);
    read_template(config);
    const Json generation = optional_json("generation_config.json");
    const bool says = generation.contains("eos_token_id");
    read_ends(says ? "generation_config.json" : "config.json",
              says ? generation : optional_json("config.json"));
    return std::move(vocabulary_);
  }

 private:
  Json optional_json(const char* file) const {
    const std::string path = path_ + "/" + file;
    if (!std::filesystem::exists(path)) return Json::object();
    Json json = parse_bounded_json(read_file(path, kMostOtherBytes), path);
    if (!json.is_object()) fail(ErrorKind::bad_input, "{}: expected an object", path);
    return json;
  }

  // A model may have rows for more tokens than its tokenizer names.
  void pad_to_model(const Json& config) {
    const auto text = config.find("text_config");
    const Json& of_text = text != config.end() && text->is_object() ? *text : config;
    const auto size = of_text.find("vocab_size");
    if (size == of_text.end() || !size->is_number_unsigned()) return;
    const uint64_t n = size->get<uint64_t>();
    if (n > 4 * vocabulary_.tokens.size() + 65536) {
      fail(ErrorKind::limit, "{}/config.json: vocab_size is {}, though the tokenizer has {} tokens", path_, n,
           vocabulary_.tokens.size());
    }
    for (size_t id = vocabulary_.tokens.size(); id < n; ++id) {
      vocabulary_.tokens.push_back(fmt::format("[PAD{}]", id));
      vocabulary_.types.push_back(TokenType::unused);
    }
  }

  // Added tokens that tokenizer.json has not.
  void add_tokens(const Json& config) {
    const auto list = config.find("added_tokens_decoder");
    if (list == config.end() || !list->is_object()) return;
    for (const auto& [key, token] : list->items()) {
      const bool number =
          !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == std::string::npos;
      const size_t id = number ? std::stoul(key) : SIZE_MAX;
      const std::string content =
          token.is_object()
              ? token.value("content", Json()).is_string() ? token["content"].get<std::string>() : ""
              : "";
      if (id > vocabulary_.tokens.size() || content.empty()) {
        fail(ErrorKind::bad_input, "{}/tokenizer_config.json: added_tokens_decoder: token {}", path_, key);
      }
      if (id == vocabulary_.tokens.size()) {
        vocabulary_.tokens.emplace_back();
        vocabulary_.types.push_back(TokenType::unused);
      }
      if (vocabulary_.types[id] != TokenType::unused) continue;
      for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
        if (token.value(flag, Json(false)) == true) {
          fail(ErrorKind::unsupported, "{}/tokenizer_config.json: token {} has {}, which tern does not know",
               path_, key, flag);
        }
      }
      vocabulary_.tokens[id] = content;
      vocabulary_.types[id] =
          token.value("special", Json(false)) == true ? TokenType::control : TokenType::user_defined;
    }
  }

  // A special token's id by its text, which stands there alone or as {"content": ...}.
  std::optional<int32_t> token_id(const char* file, const Json& config, const char* key) const {
    const auto at = config.find(key);
    if (at == config.end() || at->is_null()) return std::nullopt;
    const Json& text = at->is_object() && at->contains("content") ? (*at)["content"] : *at;
    if (!text.is_string()) fail(ErrorKind::bad_input, "{}/{}: {}: expected a token", path_, file, key);
    return find_added(text.get<std::string>());
  }

  // As a special token where there is one of that name.
  std::optional<int32_t> find_added(const std::string& text) const {
    for (int32_t id = 0; id < vocabulary_.size(); ++id) {
      if (is_added(vocabulary_.types[id]) && vocabulary_.tokens[id] == text) return id;
    }
    return std::nullopt;
  }

  void read_config(const char* file, const Json& config) {
    const std::pair<const char*, std::optional<int32_t> Vocabulary::*> keys[] = {
        {"bos_token", &Vocabulary::bos},
        {"eos_token", &Vocabulary::eos},
        {"unk_token", &Vocabulary::unk},
        {"pad_token", &Vocabulary::pad}};
    for (const auto& [key, id] : keys) {
      if (const auto found = token_id(file, config, key)) vocabulary_.*id = found;
    }
    if (const auto at = config.find("add_bos_token"); at != config.end() && at->is_boolean()) {
      vocabulary_.add_bos = at->get<bool>();
    }
    if (const auto at = config.find("add_eos_token"); at != config.end() && at->is_boolean()) {
      vocabulary_.add_eos = at->get<bool>();
    }
    vocabulary_.add_bos = vocabulary_.add_bos && vocabulary_.bos.has_value();
    vocabulary_.add_eos = vocabulary_.add_eos && vocabulary_.eos.has_value();
  }

  // A file of its own comes first; in a list of named ones, the default.
  void read_template(const Json& config) {
    const std::string path = path_ + "/chat_template.jinja";
    if (std::filesystem::exists(path)) {
      vocabulary_.chat_template = read_file(path, kMostOtherBytes);
      return;
    }
    const auto at = config.find("chat_template");
    if (at == config.end()) return;
    if (at->is_string()) vocabulary_.chat_template = at->get<std::string>();
    if (!at->is_array()) return;
    for (const Json& entry : *at) {
      if (!entry.is_object() || entry.value("name", Json()) != "default") continue;
      if (entry.value("template", Json()).is_string())
        vocabulary_.chat_template = entry["template"].get<std::string>();
    }
  }

  // A number or a list of numbers. The first is the end where the tokenizer says none.
  void read_ends(const char* file, const Json& config) {
    const auto at = config.find("eos_token_id");
    if (at == config.end() || at->is_null()) return;
    const Json list = at->is_array() ? *at : Json::array({*at});
    for (const Json& id : list) {
      if (!id.is_number_unsigned() || id.get<uint64_t>() >= vocabulary_.tokens.size()) {
        fail(ErrorKind::bad_input, "{}/{}: eos_token_id {}, expected ids less than {}", path_, file,
             id.dump(), vocabulary_.tokens.size());
      }
      const auto end = id.get<int32_t>();
      if (!vocabulary_.eos) vocabulary_.eos = end;
      std::vector<int32_t>& ends = vocabulary_.ends;
      if (end != vocabulary_.eos && std::find(ends.begin(), ends.end(), end) == ends.end())
        ends.push_back(end);
    }
  }

  const std::string path_;
  Vocabulary vocabulary_;
};

}  // namespace

Vocabulary read_hf_vocabulary(const std::string& folder) {
  return Folder(folder).read();
}

}  // namespace tern
