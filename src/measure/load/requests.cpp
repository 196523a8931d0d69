#include "measure/load/requests.h"

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "measure/eval_search.h"
#include "tasks/search/world.h"

namespace tern::load {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kDeadlineStream = 2, kPromptStream = 3;  // of the seed

std::optional<int> deadline_of(const Json& body) {
  const auto found = body.find("deadline_ms");
  if (found == body.end() || !found->is_number_integer()) return std::nullopt;
  return static_cast<int>(std::clamp<int64_t>(found->get<int64_t>(), 0, 1'000'000'000));
}

}  // namespace

RequestMaker::RequestMaker(const LoadOptions& options, std::string model) : options_(options) {
  const RequestOptions& request = options.request;
  if (request.prompts.empty()) fail(ErrorKind::bad_input, "a load needs at least one prompt");
  common_ = Json::object();
  common_["model"] = std::move(model);
  common_["stream"] = true;
  common_["stream_options"]["include_usage"] = true;
  if (request.max_tokens) common_["max_tokens"] = *request.max_tokens;
  if (request.temperature) common_["temperature"] = *request.temperature;
  if (request.sampling_seed) common_["seed"] = *request.sampling_seed;
  if (!request.late.empty()) common_["late"] = request.late;
  if (!request.effort.empty()) common_["reasoning_effort"] = request.effort;
  if (request.think) common_["chat_template_kwargs"]["enable_thinking"] = *request.think;
  if (request.extra.is_object()) common_.merge_patch(request.extra);
}

LoadRequest RequestMaker::make(uint64_t i) const {
  const RequestOptions& rules = options_.request;
  const TraceLine* line = options_.trace.empty() ? nullptr : &options_.trace[i % options_.trace.size()];
  LoadRequest request;
  request.chat = rules.chat;
  request.body = common_;
  const std::string& prompt =
      line && !line->prompt.empty() ? line->prompt : rules.prompts[i % rules.prompts.size()];
  if (rules.chat) {
    request.body["messages"] = Json::array({{{"role", "user"}, {"content", prompt}}});
  } else {
    request.body["prompt"] = prompt;
  }
  if (rules.deadline_ms) {
    Rng rng = Rng::for_item(options_.seed, kDeadlineStream, i);
    request.body["deadline_ms"] = rng.between(rules.deadline_ms->first, rules.deadline_ms->second);
  }
  if (line && line->request.is_object()) {
    for (const auto& [key, value] : line->request.items()) request.body[key] = value;
    request.body["stream"] = true;
    if (line->request.contains("messages")) request.body.erase("prompt"), request.chat = true;
    if (line->request.contains("prompt")) request.body.erase("messages"), request.chat = false;
    request.body["model"] = common_["model"];
  }
  request.deadline_ms = deadline_of(request.body);
  return request;
}

std::vector<std::string> prompts_of_lines(std::string_view text, const std::string& name) {
  std::vector<std::string> prompts;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") != std::string_view::npos) prompts.emplace_back(line);
  }
  if (prompts.empty()) fail(ErrorKind::bad_input, "{}: expected a prompt in each line, found none", name);
  return prompts;
}

std::vector<std::string> synthetic_prompts(int words, size_t count, uint64_t seed) {
  static const std::vector<std::string> kWords = {
      "river",  "stone", "lamp",   "the",   "and",    "over",  "green", "walks", "seven", "paper",  "of",
      "window", "a",     "sings",  "cold",  "market", "under", "light", "to",    "boat",  "clouds", "before",
      "salt",   "it",    "garden", "turns", "old",    "with",  "road",  "quiet", "in",    "summer"};
  std::vector<std::string> prompts;
  for (size_t i = 0; i < count; ++i) {
    Rng rng = Rng::for_item(seed, kPromptStream, i);
    std::string text = std::to_string(rng.below(1'000'000'000));
    for (int word = 1; word < words; ++word) text += " " + rng.pick(kWords);
    prompts.push_back(std::move(text));
  }
  return prompts;
}

std::vector<std::string> search_prompts(size_t count) {
  const search::World world;
  SearchEvalOptions options;
  options.count = static_cast<int>(count);
  std::vector<std::string> prompts;
  for (search::Example& example : make_search_examples(world, options).seen)
    prompts.push_back(std::move(example.query));
  return prompts;
}

}  // namespace tern::load
