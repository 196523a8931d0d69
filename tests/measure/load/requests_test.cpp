#include "measure/load/requests.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "measure/load/plot.h"
#include "measure/load/trace.h"

namespace tern::load {
namespace {

TEST(Trace, ReadsAndOrdersItsLines) {
  const auto lines = parse_trace(
      "{\"at_ms\":20.5,\"prompt\":\"b\",\"max_tokens\":3,\"deadline_ms\":90}\r\n\n  \n"
      "{\"at_ms\":0}\n{\"at_ms\":20.5,\"request\":{\"messages\":[]}}",
      "t");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].at_s, 0);
  EXPECT_EQ(lines[1].at_s, 0.0205);
  EXPECT_EQ(lines[1].prompt, "b");
  EXPECT_EQ(lines[1].request["max_tokens"], 3);
  EXPECT_EQ(lines[1].request["deadline_ms"], 90);
  EXPECT_TRUE(lines[2].request.contains("messages"));
}

TEST(Trace, NamesTheLineThatIsWrong) {
  for (const std::string& wrong : std::vector<std::string>{
           "", "[]", "{}", "nonsense", "{\"at_ms\":-1}", "{\"at_ms\":\"1\"}", "{\"at_ms\":1e99}",
           "{\"prompt\":\"a\"}", "{\"at_ms\":1,\"promt\":\"a\"}", "{\"at_ms\":1,\"prompt\":\"\"}",
           "{\"at_ms\":1,\"max_tokens\":0}", "{\"at_ms\":1,\"max_tokens\":1.5}",
           "{\"at_ms\":1,\"deadline_ms\":99999999}", "{\"at_ms\":1,\"request\":5}",
           "{\"at_ms\":1,\"request\":{},\"prompt\":\"a\"}", "{\"at_ms\":" + std::string(5000, '[')}) {
    try {
      parse_trace("{\"at_ms\":1}\n" + (wrong.empty() ? "?" : wrong), "t");
      FAIL() << wrong;
    } catch (const Error& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with("t:2")) << error.what();
    }
  }
  EXPECT_THROW(parse_trace("\n \n", "t"), Error);
}

LoadOptions with_prompts() {
  LoadOptions options;
  options.request.prompts = {"a", "b", "c"};
  return options;
}

TEST(Requests, DependOnTheirNumberAndTheSeedAlone) {
  LoadOptions options = with_prompts();
  options.request.deadline_ms = {50, 1000};
  const RequestMaker maker(options, "m");
  EXPECT_EQ(maker.make(7).body, RequestMaker(options, "m").make(7).body);
  EXPECT_EQ(maker.make(7).body["messages"][0]["content"], "b");
  double sum = 0;
  int least = 1000, most = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    const int deadline = *maker.make(i).deadline_ms;
    sum += deadline;
    least = std::min(least, deadline);
    most = std::max(most, deadline);
  }
  EXPECT_NEAR(sum / 4000, 525, 15);
  EXPECT_GE(least, 50);
  EXPECT_LE(least, 53);
  EXPECT_LE(most, 1000);
  EXPECT_GE(most, 997);
  LoadOptions other = options;
  other.seed = 1;
  const RequestMaker reseeded(other, "m");
  int same = 0;
  for (uint64_t i = 0; i < 100; ++i) same += reseeded.make(i).deadline_ms == maker.make(i).deadline_ms;
  EXPECT_LT(same, 10);
}

TEST(Requests, OfATraceSayWhatItsLineSays) {
  LoadOptions options = with_prompts();
  options.request.deadline_ms = {50, 50};
  options.request.max_tokens = 9;
  options.trace = parse_trace(
      "{\"at_ms\":0}\n{\"at_ms\":1,\"prompt\":\"p\",\"deadline_ms\":70}\n"
      "{\"at_ms\":2,\"request\":{\"prompt\":[1,2],\"stream\":false,\"max_tokens\":5,\"model\":\"x\"}}",
      "t");
  const RequestMaker maker(options, "m");
  EXPECT_EQ(maker.make(0).body["messages"][0]["content"], "a");
  EXPECT_EQ(maker.make(0).deadline_ms, 50);
  EXPECT_EQ(maker.make(1).body["messages"][0]["content"], "p");
  EXPECT_EQ(maker.make(1).body["max_tokens"], 9);
  EXPECT_EQ(maker.make(1).deadline_ms, 70);
  const LoadRequest raw = maker.make(2);
  EXPECT_FALSE(raw.chat);
  EXPECT_FALSE(raw.body.contains("messages"));
  EXPECT_EQ(raw.body["prompt"], nlohmann::ordered_json::parse("[1,2]"));
  EXPECT_EQ(raw.body["stream"], true);
  EXPECT_EQ(raw.body["max_tokens"], 5);
  EXPECT_EQ(raw.body["model"], "m");
}

TEST(Prompts, OfAFileAreItsLines) {
  EXPECT_EQ(prompts_of_lines("a\r\n\n \nb c", "f"), (std::vector<std::string>{"a", "b c"}));
  EXPECT_THROW(prompts_of_lines("\n\n", "f"), Error);
}

TEST(Prompts, SyntheticOnesHaveTheirLengthAndNoCommonBegin) {
  const auto prompts = synthetic_prompts(12, 50, 1);
  std::set<std::string> begins;
  for (const std::string& prompt : prompts) {
    EXPECT_EQ(std::count(prompt.begin(), prompt.end(), ' '), 11);
    begins.insert(prompt.substr(0, prompt.find(' ')));
  }
  EXPECT_EQ(begins.size(), 50u);
  EXPECT_EQ(synthetic_prompts(12, 50, 1), prompts);
  EXPECT_NE(synthetic_prompts(12, 50, 2), prompts);
}

TEST(Prompts, OfTheSearchTaskAreQueries) {
  const auto prompts = search_prompts(20);
  EXPECT_EQ(prompts.size(), 20u);
  for (const std::string& prompt : prompts) EXPECT_FALSE(prompt.empty());
}

TEST(Plot, EscapesItsTitleAndMarksEachFate) {
  LoadReport report;
  for (const Fate fate : {Fate::done, Fate::on_time, Fate::late, Fate::refused, Fate::failed}) {
    report.records.push_back({1, 0.1f, 0.2f, fate});
    report.e2e.add(0.1);
  }
  const std::string svg = plot_svg(report, "<script>&");
  EXPECT_NE(svg.find("&lt;script&gt;&amp;"), std::string::npos);
  for (const char* name : {"1 on time", "1 done, no deadline", "1 late", "1 refused", "1 failed"})
    EXPECT_NE(svg.find(name), std::string::npos) << name;
  EXPECT_NE(plot_svg(LoadReport(), "none").find("</svg>"), std::string::npos);
  SweepCell cell;
  cell.report = report;
  cell.report.sent = 5;
  EXPECT_NE(plot_svg(std::vector{cell}, "x").find("</svg>"), std::string::npos);

  Capacity capacity{{{1, {}}, {2, report}}, 2, report.complete_per_s()};
  EXPECT_NE(plot_svg(capacity, "x").find("2 at once"), std::string::npos);
  EXPECT_NE(plot_svg(Capacity(), "x").find("</svg>"), std::string::npos);

  SustainedRate found{0.1, 20, {{20, true, report}, {30, false, report}, {25, false, {}}}};
  EXPECT_NE(plot_svg(found, "x").find("20.0/s are sustained"), std::string::npos);
  EXPECT_NE(plot_svg(found, "x").find("within 100 ms"), std::string::npos);
  EXPECT_NE(plot_svg(SustainedRate(), "x").find("</svg>"), std::string::npos);
}

}  // namespace
}  // namespace tern::load
