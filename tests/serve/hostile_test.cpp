// Clients that mean harm or have bad luck, many at once: whoever behaves is served all the same, and nothing
// of the others stays.
#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/serve/fixture.h"

namespace tern::serve_test {
namespace {

constexpr const char* kChat = "/v1/chat/completions";

ServeOptions impatient() {
  ServeOptions options;
  options.header_timeout = options.body_timeout = options.linger = 300ms;
  options.write_timeout = 500ms;
  options.unsent_limit = 16 << 10;
  options.socket_buffer = 4 << 10;
  return options;
}

size_t open_files() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

/// Waits until as many files are open as before; false after twenty seconds.
bool files_are(size_t before) {
  for (int i = 0; i < 2000 && open_files() > before; ++i) std::this_thread::sleep_for(10ms);
  return open_files() <= before;
}

std::string streamed(const char* text) {
  Json body = ask(text);
  body["stream"] = true;
  return body.dump();
}

/// What one bad client does, until it is done or thrown out.
using Deed = void (*)(const TestServer&, Rng&);

void leave_at_random(const TestServer& server, Rng& random) {
  Client client(server.port());
  const std::string body = streamed("long");
  const size_t size = random.chance(0.3) ? random.below(body.size()) : body.size();
  client.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", kChat,
                          body.size(), body.substr(0, size)));
  std::this_thread::sleep_for(std::chrono::microseconds(random.below(20'000)));
}

void never_read(const TestServer& server, Rng&) {
  Client client(server.port(), 1 << 10);
  client.post(kChat, streamed("long"));
  std::this_thread::sleep_for(300ms);
}

void drip(const TestServer& server, const std::string& start) {
  Client client(server.port());
  client.send(start);
  for (int i = 0; i < 500; ++i) {
    client.send("x");
    std::this_thread::sleep_for(10ms);
  }
  ADD_FAILURE() << "five seconds of dripping";
}

void drip_head(const TestServer& server, Rng&) {
  drip(server, "GET /health HTTP/1.1\r\nHost: localhost\r\nX: ");
}

void drip_body(const TestServer& server, Rng&) {
  drip(server, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n");
}

void say_nothing(const TestServer& server, Rng&) {
  Client client(server.port());
  EXPECT_TRUE(client.closed());
}

void send_junk(const TestServer& server, Rng& random) {
  Client client(server.port());
  std::string bytes = random.chance(0.5) ? "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n" : "";
  for (int i = 0; i < 500; ++i) bytes += static_cast<char>(random.below(256));
  client.send(bytes);
  EXPECT_TRUE(client.closed());
}

void send_too_much(const TestServer& server, Rng&) {
  Client client(server.port());
  client.post("/v1/completions", std::string(5 << 20, ' '));
  EXPECT_TRUE(client.closed());
}

void ask_without_end(const TestServer& server, Rng&) {
  Client client(server.port());
  std::string bytes;
  for (int i = 0; i < 200; ++i) bytes += "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n";
  for (int i = 0; i < 5; ++i) client.send(bytes);
}

TEST(Hostile, WhoBehavesIsServedBesideAllOthers) {
  EngineOptions engine;
  engine.parallel = 64;
  TestServer server(impatient(), engine);
  EXPECT_EQ(chat(server, ask("hello")).status, 200);
  const size_t files = open_files();
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (const Deed deed : {leave_at_random, never_read, drip_head, drip_body, say_nothing, send_junk,
                          send_too_much, ask_without_end}) {
    for (uint64_t t = 0; t < 2; ++t) {
      threads.emplace_back([&server, &done, deed, t] {
        Rng random(t);
        do {
          try {
            deed(server, random);
          } catch (const std::runtime_error&) {  // thrown out
          }
        } while (!done);
      });
    }
  }
  const TimePoint start = Clock::now();
  int asked = 0;
  for (; seconds_since(start) < 1.5; ++asked) {
    const Response response = chat(server, ask("hello"));
    ASSERT_EQ(response.status, 200) << response.body;
    ASSERT_EQ(response.json()["choices"][0]["message"]["content"], "hello");
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(asked, 0);
  EXPECT_TRUE(server.idle()) << "those who left hold nothing in the engine";
  EXPECT_TRUE(files_are(files)) << "nor a connection";
  EXPECT_EQ(chat(server, ask("hello")).status, 200);
}

TEST(Hostile, BodiesOnTheirWayHaveALimitTogether) {
  ServeOptions options;
  options.bodies_limit = 100'000;
  TestServer server(options);
  const std::string head =
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n";
  Client first(server.port());
  first.send(head + std::string(59'000, ' '));
  std::this_thread::sleep_for(100ms);
  Client second(server.port());
  second.send(head + std::string(59'000, ' '));
  EXPECT_EQ(second.response().status, 503);
  first.send(std::string(1'000, ' '));
  EXPECT_EQ(first.response().status, 400) << "a body of spaces, whole";
  Client third(server.port());
  third.send(head + std::string(60'000, ' '));
  EXPECT_EQ(third.response().status, 400) << "there is room again";
}

TEST(Hostile, ConnectionsOfOneClientHaveALimit) {
  ServeOptions options;
  options.connections_per_client = 3;
  TestServer server(options);
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(server.port());
    clients.back().get("/health");
    EXPECT_EQ(clients.back().response().status, 200);
  }
  {
    Client fourth(server.port());
    const Response refused = fourth.response();
    EXPECT_EQ(refused.status, 429);
    EXPECT_EQ(refused.json()["error"]["code"], "too_many_connections");
    EXPECT_TRUE(fourth.closed());
  }
  clients.pop_back();
  int status = 429;
  for (int i = 0; i < 1000 && status != 200; ++i) {
    Client again(server.port());
    try {
      again.get("/health");
      status = again.response().status;
    } catch (const std::runtime_error&) {  // closed before the request was there
    }
  }
  EXPECT_EQ(status, 200);
}

TEST(Hostile, WhereAllConnectionsAreTakenTheIdleOneGivesItsPlace) {
  ServeOptions options;
  options.max_connections = 2;
  TestServer server(options);
  server.gate().close();
  Client busy(server.port());
  busy.post(kChat, streamed("hello"));
  EXPECT_EQ(busy.response_head().status, 200);
  Client idle(server.port());
  idle.get("/health");
  EXPECT_EQ(idle.response().status, 200);
  Client third(server.port());
  third.post(kChat, streamed("hello"));
  EXPECT_EQ(third.response_head().status, 200);
  EXPECT_TRUE(idle.closed());
  Client fourth(server.port());
  EXPECT_EQ(fourth.response().status, 503) << "nobody is idle";
  server.gate().open();
  EXPECT_EQ(busy.events().back(), "[DONE]");
  EXPECT_EQ(third.events().back(), "[DONE]");
}

/// Bytes of the heap in use; 0 where a sanitizer has replaced it.
size_t heap_in_use() {
  return mallinfo2().uordblks;
}

TEST(Hostile, ConnectionsThatWaitCostLittleMemory) {
  constexpr size_t kClients = 200, kBytesEach = 4 << 10;
  if (heap_in_use() == 0) GTEST_SKIP() << "not glibc's heap";
  TestServer server;
  const auto idle_client = [&] {
    Client client(server.port());
    client.get("/health");
    EXPECT_EQ(client.response().status, 200);
    return client;
  };
  std::vector<Client> clients;
  clients.reserve(kClients + 1);
  clients.push_back(idle_client());  // what the first request sets up isn't counted
  const size_t before = heap_in_use();
  for (size_t i = 0; i < kClients; ++i) clients.push_back(idle_client());
  EXPECT_LE(heap_in_use(), before + kClients * kBytesEach);
}

/// A server in a process of its own, which gets few file descriptors once it runs.
class Child {
 public:
  explicit Child(rlim_t files) {
    int up[2], down[2];
    if (pipe(up) != 0 || pipe(down) != 0) throw std::runtime_error("no pipe");
    process_ = fork();
    if (process_ == 0) {
      close(up[0]), close(down[1]);
      _exit(serve(files, up[1], down[0]));
    }
    close(up[1]), close(down[0]);
    end_ = down[1];
    if (read(up[0], &port_, sizeof(port_)) != sizeof(port_)) throw std::runtime_error("no server");
    close(up[0]);
  }
  uint16_t port() const { return port_; }
  /// Whether it was idle in the end.
  bool ends_well() {
    close(end_);
    int status = 1;
    waitpid(process_, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  static int serve(rlim_t files, int up, int down) {
    TestServer server;
    if (chat(server, ask("hello")).status != 200) return 2;
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = files;
    setrlimit(RLIMIT_NOFILE, &limit);
    const uint16_t port = server.port();
    if (write(up, &port, sizeof(port)) != sizeof(port)) return 3;
    char byte;
    while (read(down, &byte, 1) > 0) {
    }
    return server.idle() ? 0 : 4;
  }
  pid_t process_;
  int end_;
  uint16_t port_ = 0;
};

TEST(Hostile, WithoutFileDescriptorsEverybodyIsServedInTurn) {
  Child child(open_files() + 20);
  std::vector<Client> clients;
  for (int i = 0; i < 80; ++i) {
    clients.emplace_back(child.port());
    clients.back().post(kChat, ask("hello").dump());
  }
  for (Client& client : clients) EXPECT_EQ(client.response().status, 200);
  clients.clear();
  EXPECT_TRUE(child.ends_well());
}

TEST(Hostile, AStopUnderLoadLosesNobody) {
  TestServer server(impatient());
  server.gate().close();
  std::vector<Client> streams, asking, arriving;
  for (int i = 0; i < 24; ++i) {
    streams.emplace_back(server.port());
    streams.back().post(kChat, streamed("hello"));
    EXPECT_EQ(streams.back().response_head().status, 200);
    asking.emplace_back(server.port());
    asking.back().post(kChat, ask("hello").dump());
  }
  std::this_thread::sleep_for(200ms);
  Client never_reads(server.port(), 1 << 10), silent(server.port()), half(server.port());
  never_reads.post(kChat, streamed("long"));
  half.send("POST /v1/completions HTTP/1.1\r\n");
  std::this_thread::sleep_for(100ms);
  for (int i = 0; i < 8; ++i) arriving.emplace_back(server.port());
  server.server().stop();
  for (Client& client : arriving) client.post(kChat, ask("hello").dump());
  for (Client& client : arriving) EXPECT_EQ(client.response().status, 503) << "said, not cut off";
  server.gate().open();
  for (Client& client : streams) EXPECT_EQ(client.events().back(), "[DONE]");
  for (Client& client : asking) EXPECT_EQ(client.response().status, 200);
  EXPECT_TRUE(server.ended()) << "those who do nothing don't hold it up";
  EXPECT_TRUE(server.idle());
}

TEST(Hostile, PeersThatVanishAreLookedFor) {
  TestServer server;
  Client client(server.port());
  client.get("/health");
  EXPECT_EQ(client.response().status, 200);
  // The kernel's table of sockets: local address, remote address, state, queues, and the timer that runs, of
  // which 2 is keep-alive.
  std::ifstream table("/proc/net/tcp");
  if (!table) GTEST_SKIP() << "no /proc/net/tcp";
  const std::string local = fmt::format("0100007F:{:04X} ", server.port());
  bool looked_for = false;
  for (std::string line; std::getline(table, line);) {
    const size_t at = line.find(": " + local);
    if (at == std::string::npos) continue;
    // "sl: local remote st tx:rx tr:when …"
    const std::string rest = line.substr(at + 2 + local.size());
    const bool established = rest.substr(14, 2) == "01";
    if (established) looked_for = rest.substr(35, 2) == "02";
  }
  EXPECT_TRUE(looked_for);
}

}  // namespace
}  // namespace tern::serve_test
