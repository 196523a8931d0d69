// The command line of tern.
#include <cstdio>

#include "app/commands.h"
#include "app/version.h"  // written by the build
#include "base/exit_code.h"
#include "kernels/kernels.h"

namespace {

using namespace tern;

std::string version_text() {
  std::string found;
  for (Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
    if (isa_available(isa)) found += std::string(found.empty() ? "" : " ") + std::string(isa_name(isa));
  }
  return fmt::format("tern {} ({})\ninstruction sets: {}; chosen: {}", TERN_VERSION, TERN_COMMIT, found,
                     isa_name(detect_isa()));
}

constexpr const char* kFooter = R"(Examples:
  tern run "chep red sneakrs undr 60"          ask the embedded model
  tern run                                     chat with it
  tern serve --port 8080                       OpenAI API on http://127.0.0.1:8080/v1
  tern keys new shop --append keys             an API key for `tern serve --api-keys keys`
  tern render -m model.gguf < request.json     the prompt that a chat request becomes
  tern inspect model.gguf                      what is in a file, and the memory it will take
  tern convert FOLDER model.gguf               a Hugging Face folder as one GGUF file
  tern quantize model.gguf small.gguf --type q4_k_m
  tern tokenize -m model.gguf <text            the ids of a text
  tern eval search --n 500                     how well the embedded model answers, beside a baseline
  tern bench -m model.gguf                     how fast a model runs here, beside the machine's limits
  tern pack model.gguf                         its packed file, so that starts are short
  tern load http://127.0.0.1:8080 --rate 50    latencies of a server under load
  tern train search --config configs/search.toml --out runs/search

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a file or input that tern can't read or run.
`tern COMMAND --help` says more.)";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("tern runs, serves and trains small Mixture-of-Experts reasoning models.", "tern");
  app.footer(kFooter);
  app.set_version_flag("--version", version_text());
  app.require_subcommand(1);
  app::add_run(app);
  app::add_serve(app);
  app::add_render(app);
  app::add_inspect(app);
  app::add_convert(app);
  app::add_quantize(app);
  app::add_eval(app);
  app::add_bench(app);
  app::add_pack(app);
  app::add_load(app);
  app::add_train(app);
  app::add_keys(app);
  app::add_tokenize(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const Error& error) {
    fmt::print(stderr, "tern: {}\n", error.what());
    return exit_code(error.kind());
  } catch (const std::exception& error) {
    fmt::print(stderr, "tern: {}\n", error.what());
    return 1;
  }
}
