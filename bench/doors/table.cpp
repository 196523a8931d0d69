#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "bench/doors/doors.h"
#include "text/chat.h"

namespace tern::doors {

TokenTable::TokenTable(int streams, int tokens) : file_(memfd_create("tern-doors", 0)) {
  const size_t cells = static_cast<size_t>(streams) * tokens;
  const size_t bytes = sizeof(Head) + cells * sizeof(std::atomic<int64_t>);
  if (file_ < 0 || ftruncate(file_, static_cast<off_t>(bytes)) != 0)
    fail(ErrorKind::io, "no shared memory of {} bytes: {}", bytes, std::strerror(errno));
  map(bytes);
  head_->streams = streams;
  head_->tokens = tokens;
}

TokenTable::TokenTable(int file) : file_(file) {
  struct stat status {};
  if (fstat(file, &status) != 0) fail(ErrorKind::io, "no table: {}", std::strerror(errno));
  map(static_cast<size_t>(status.st_size));
}

TokenTable::~TokenTable() {
  munmap(head_, bytes_);
  ::close(file_);
}

void TokenTable::map(size_t bytes) {
  bytes_ = bytes;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (memory == MAP_FAILED) fail(ErrorKind::io, "can't map the table: {}", std::strerror(errno));
  head_ = static_cast<Head*>(memory);
  cells_ = reinterpret_cast<std::atomic<int64_t>*>(head_ + 1);
}

Tokenizer tokenizer() {
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
  vocabulary.types.assign(256, TokenType::normal);
  for (const char* name :
       {kBeginToken, kEndToken, kUserToken, kAssistantToken, kThinkToken, kEndThinkToken}) {
    vocabulary.tokens.emplace_back(name);
    vocabulary.types.push_back(TokenType::control);
  }
  for (int word = 0; word < kWords; ++word) {
    vocabulary.tokens.push_back(std::string(" wor") + static_cast<char>('a' + word));
    vocabulary.types.push_back(TokenType::normal);
  }
  vocabulary.bos = 256;
  vocabulary.eos = 257;
  vocabulary.add_bos = true;
  vocabulary.chat_template = kTernChatTemplate;
  return Tokenizer(std::move(vocabulary));
}

int stream_of(std::span<const int32_t> prompt) {
  int number = 0;
  for (const int32_t token : prompt) {
    if (token >= '0' && token <= '9') number = number * 10 + (token - '0');
  }
  return number;
}

}  // namespace tern::doors
