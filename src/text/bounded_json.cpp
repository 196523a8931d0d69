#include "text/bounded_json.h"

#include "base/error.h"

namespace tern {
namespace {

constexpr size_t kLevels = 64;
constexpr size_t kValues = 1'000'000;

// Builds a tree from the events of a parser, within bounds.
class TreeBuilder : public nlohmann::json_sax<Json> {
 public:
  explicit TreeBuilder(const std::string& name) : name_(name) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }  // no JSON text has it
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    key_ = std::move(name);
    return true;
  }

  bool parse_error(size_t at, const std::string&, const nlohmann::detail::exception& error) override {
    fail(ErrorKind::bad_input, "{}: no JSON at byte {}: {}", name_, at, error.what());
  }

  Json root;

 protected:
  size_t levels() const { return open_.size(); }
  const std::string& last_key() const { return key_; }
  const std::string& name() const { return name_; }

 private:
  Json* place(Json value) {
    if (++values_ > kValues) fail(ErrorKind::limit, "{}: more than {} values", name_, kValues);
    if (open_.empty()) return &(root = std::move(value));
    Json& parent = *open_.back();
    if (parent.is_array()) return &parent.emplace_back(std::move(value));
    return &(parent[key_] = std::move(value));
  }

  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  bool open(Json value) {
    if (open_.size() == kLevels) fail(ErrorKind::limit, "{}: more than {} levels", name_, kLevels);
    open_.push_back(place(std::move(value)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string name_;
  std::string key_;
  size_t values_ = 0;
  std::vector<Json*> open_;  // a container doesn't grow while one inside it is open
};

// Takes model.vocab and model.merges out of the stream of events.
class TokenizerBuilder final : public TreeBuilder {
 public:
  using TreeBuilder::TreeBuilder;

  bool key(std::string& name) override {
    if (part_ == Part::vocab) {
      token_ = std::move(name);
      return true;
    }
    if (levels() == 1) in_model_ = name == "model";
    return TreeBuilder::key(name);
  }

  bool start_object(size_t n) override {
    if (part_ == Part::none && at_member("vocab")) {
      part_ = Part::vocab;
      return true;
    }
    if (part_ != Part::none) wrong();
    return TreeBuilder::start_object(n);
  }

  bool end_object() override {
    if (part_ != Part::vocab) return TreeBuilder::end_object();
    part_ = Part::none;
    return true;
  }

  bool start_array(size_t n) override {
    if (part_ == Part::none && at_member("merges")) {
      part_ = Part::merges;
      return true;
    }
    if (part_ == Part::none) return TreeBuilder::start_array(n);
    if (part_ != Part::merges || in_pair_) wrong();
    in_pair_ = true;
    pair_.clear();
    return true;
  }

  bool end_array() override {
    if (part_ == Part::none) return TreeBuilder::end_array();
    if (!in_pair_) {
      part_ = Part::none;
      return true;
    }
    if (pair_.size() != 2) wrong();
    in_pair_ = false;
    merges.emplace_back(std::move(pair_[0]), std::move(pair_[1]));
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    if (part_ == Part::none) return TreeBuilder::number_unsigned(value);
    if (part_ != Part::vocab || value > INT32_MAX) wrong();
    vocab.emplace_back(std::move(token_), static_cast<int64_t>(value));
    return true;
  }

  bool string(std::string& value) override {
    if (part_ == Part::none) return TreeBuilder::string(value);
    if (part_ != Part::merges || pair_.size() == 2) wrong();
    if (in_pair_) {
      pair_.push_back(std::move(value));
      return true;
    }
    const size_t space = value.find(' ');
    if (space == std::string::npos || value.find(' ', space + 1) != std::string::npos) wrong();
    merges.emplace_back(value.substr(0, space), value.substr(space + 1));
    return true;
  }

  bool null() override { return part_ == Part::none ? TreeBuilder::null() : wrong(); }
  bool boolean(bool value) override { return part_ == Part::none ? TreeBuilder::boolean(value) : wrong(); }
  bool number_integer(int64_t value) override {
    return part_ == Part::none ? TreeBuilder::number_integer(value) : wrong();
  }
  bool number_float(double value, const std::string& text) override {
    return part_ == Part::none ? TreeBuilder::number_float(value, text) : wrong();
  }

  std::vector<std::pair<std::string, int64_t>> vocab;
  std::vector<std::pair<std::string, std::string>> merges;

 private:
  enum class Part { none, vocab, merges };

  bool at_member(const char* member) const { return in_model_ && levels() == 2 && last_key() == member; }

  [[noreturn]] bool wrong() const {
    if (part_ == Part::vocab) {
      fail(ErrorKind::bad_input, "{}: model.vocab: expected ids from 0 by token, at \"{}\"", name(), token_);
    }
    fail(ErrorKind::bad_input, "{}: model.merges[{}]: expected two tokens", name(), merges.size());
  }

  Part part_ = Part::none;
  bool in_model_ = false;
  bool in_pair_ = false;
  std::string token_;
  std::vector<std::string> pair_;
};

}  // namespace

Json parse_bounded_json(std::string_view text, const std::string& name) {
  TreeBuilder builder(name);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return std::move(builder.root);
}

TokenizerJson parse_tokenizer_tree(std::string_view text, const std::string& name) {
  TokenizerBuilder builder(name);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return {std::move(builder.root), std::move(builder.vocab), std::move(builder.merges)};
}

}  // namespace tern
