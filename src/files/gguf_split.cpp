// Files in pieces, as llama.cpp's gguf-split names and numbers them.
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "files/gguf.h"
#include "files/gguf_format.h"
#include "files/printable.h"

namespace tern {
namespace {

constexpr uint64_t most_pieces = 65535;  // the numbers are 16 bits wide

struct PieceName {
  std::string stem;     ///< what stands before "-00001-of-00003.gguf"
  uint64_t number = 0;  ///< from 1
  uint64_t pieces = 0;
};

std::string piece_path(const std::string& stem, uint64_t number, uint64_t pieces) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", stem, number, pieces);
}

std::optional<uint64_t> five_digits(std::string_view text) {
  uint64_t number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<uint64_t>(c - '0');
  }
  return number;
}

std::optional<PieceName> parse_piece_name(const std::string& path) {
  constexpr std::string_view form = "-00001-of-00003.gguf";
  if (path.size() <= form.size()) return std::nullopt;
  const std::string_view end = std::string_view(path).substr(path.size() - form.size());
  const auto number = five_digits(end.substr(1, 5)), pieces = five_digits(end.substr(10, 5));
  if (!number || !pieces) return std::nullopt;
  PieceName name{path.substr(0, path.size() - form.size()), *number, *pieces};
  if (piece_path(name.stem, *number, *pieces) != path) return std::nullopt;
  return name;
}

/// The file's count of pieces, 1 where it doesn't speak of any.
uint64_t pieces_of(const GgufFile& file) {
  const uint64_t pieces = file.uint_or(gguf::split_count_key, 1);
  if (pieces > most_pieces) {
    fail(ErrorKind::limit, "{}: key '{}': expected at most {}, found {}", file.name(), gguf::split_count_key,
         most_pieces, pieces);
  }
  return pieces;
}

void check_piece(const GgufFile& piece, size_t number, const GgufFile& first, size_t pieces) {
  const auto expect = [&](std::string_view key, uint64_t expected) {
    const uint64_t found = piece.get_uint(key);
    if (found == expected) return;
    fail(ErrorKind::bad_input, "{}: key '{}': expected {} of piece {} of {}, found {}", piece.name(), key,
         expected, number + 1, pieces, found);
  };
  expect(gguf::split_no_key, number);
  expect(gguf::split_count_key, pieces);
  if (piece.find(gguf::split_tensors_key)) {
    expect(gguf::split_tensors_key, first.get_uint(gguf::split_tensors_key));
  }
  constexpr std::string_view architecture = "general.architecture";
  if (piece.find(architecture) && piece.get_string(architecture) != first.get_string(architecture)) {
    fail(ErrorKind::bad_input, "{}: a piece of another model: architecture {}, but {} is {}", piece.name(),
         printable(piece.get_string(architecture)), first.name(), printable(first.get_string(architecture)));
  }
}

}  // namespace

GgufFile GgufFile::join(std::vector<GgufFile> pieces) {
  if (pieces.empty()) fail(ErrorKind::internal, "a file of no pieces");
  for (size_t i = 0; i < pieces.size(); ++i) check_piece(pieces[i], i, pieces[0], pieces.size());
  GgufFile whole = std::move(pieces[0]);
  auto keep = std::make_shared<std::vector<std::shared_ptr<const void>>>();
  keep->push_back(std::move(whole.keep_));
  for (size_t i = 1; i < pieces.size(); ++i) {
    keep->push_back(std::move(pieces[i].keep_));
    whole.file_bytes_ += pieces[i].file_bytes_;
    for (GgufTensor& tensor : pieces[i].tensors_) {
      if (!whole.tensor_index_.try_emplace(tensor.name, whole.tensors_.size()).second) {
        fail(ErrorKind::bad_input, "{}: tensor {}: an earlier piece has it too", pieces[i].name(),
             printable(tensor.name));
      }
      whole.tensors_.push_back(std::move(tensor));
    }
  }
  const uint64_t tensors = whole.get_uint(gguf::split_tensors_key);
  if (tensors != whole.tensors_.size()) {
    fail(ErrorKind::bad_input, "{}: key '{}': expected the {} tensors that the pieces hold, found {}",
         whole.name(), gguf::split_tensors_key, whole.tensors_.size(), tensors);
  }
  whole.keep_ = std::move(keep);
  for (const auto key : {gguf::split_no_key, gguf::split_count_key, gguf::split_tensors_key})
    whole.erase_key(key);
  return whole;
}

GgufFile GgufFile::open(const std::string& path) {
  GgufFile file = open_one(path);
  const uint64_t count = pieces_of(file);
  if (count <= 1) return file;
  const auto name = parse_piece_name(path);
  if (!name || name->pieces != count) {
    fail(ErrorKind::bad_input, "{}: one of {} pieces: expected a name that ends in \"-00001-of-{:05}.gguf\"",
         path, count, count);
  }
  std::vector<GgufFile> pieces;
  for (uint64_t i = 1; i <= count; ++i) {
    const std::string piece = piece_path(name->stem, i, count);
    if (!std::filesystem::exists(piece)) {
      fail(ErrorKind::io, "{}: piece {} of {} is missing: expected {}", path, i, count, piece);
    }
    pieces.push_back(open_one(piece));
  }
  return join(std::move(pieces));
}

}  // namespace tern
