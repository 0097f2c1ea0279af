// Files that appear whole or not at all: each is written under a temporary name beside its place, and all are renamed
// together at the end. What is not committed leaves nothing behind.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace wavetile {

/// One file that is being written. A device or a pipe (/dev/stdout) is written to in place.
class OutputFile {
 public:
  /// Throws Error naming the path if it cannot be created.
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Throws Error naming the path and the reason: a full disk, a closed pipe.
  void write(std::string_view bytes);

 private:
  friend class OutputFiles;
  void flush();
  void close();
  void publish();
  [[noreturn]] void fail(const char* what, int code) const;

  std::filesystem::path path_, temporary_;  // temporary_ is empty where there is none
  std::string buffer_;
  int fd_ = -1;
};

class OutputFiles {
 public:
  ~OutputFiles();

  /// Creates a directory (its parent has to exist) unless it is there; it goes again without commit().
  void make_directory(const std::filesystem::path& path);
  OutputFile& add(const std::filesystem::path& path);
  /// Puts every file in its place.
  void commit();

 private:
  std::vector<std::unique_ptr<OutputFile>> files_;
  std::filesystem::path created_;
};

}  // namespace wavetile
