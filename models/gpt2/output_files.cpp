#include "models/gpt2/output_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "dsl/error.h"

namespace wavetile {

namespace fs = std::filesystem;

namespace {

constexpr size_t kBuffer = 1 << 20;

// A device, a pipe, a socket: nothing that a rename could replace.
bool is_special(const fs::path& path) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  return fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
}

}  // namespace

OutputFile::OutputFile(fs::path path) : path_(std::move(path)) {
  if (is_special(path_)) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    std::string name = path_.string() + ".XXXXXX";
    fd_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd_ >= 0) temporary_ = name;
  }
  if (fd_ < 0) fail("cannot create it", errno);
  buffer_.reserve(kBuffer);
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::fail(const char* what, int code) const {
  throw Error(fmt::format(
      "{}: {}: {}; {}", path_.string(), what, std::strerror(code),
      code == ENOSPC || code == EDQUOT || code == EFBIG ? "free some space or write elsewhere" : "write elsewhere"));
}

void OutputFile::write(std::string_view bytes) {
  if (buffer_.size() + bytes.size() > kBuffer) flush();
  buffer_ += bytes;
  if (buffer_.size() > kBuffer) flush();
}

void OutputFile::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t n = ::write(fd_, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot write", errno);
    rest.remove_prefix(static_cast<size_t>(n));
  }
  buffer_.clear();
}

// Some file systems find out here that a write has failed.
void OutputFile::close() {
  flush();
  if (::close(std::exchange(fd_, -1)) != 0) fail("cannot write", errno);
}

// A temporary file is private; the result has the rights that any new file would have.
void OutputFile::publish() {
  if (temporary_.empty()) return;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::chmod(temporary_.c_str(), 0666 & ~mask) != 0) fail("cannot set its rights", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot put it in its place", errno);
  temporary_.clear();
}

OutputFiles::~OutputFiles() {
  files_.clear();
  std::error_code ignored;  // a directory that something else is in stays
  if (!created_.empty()) fs::remove(created_, ignored);
}

void OutputFiles::make_directory(const fs::path& path) {
  std::error_code error;
  if (fs::create_directory(path, error)) created_ = path;
  if (error || !fs::is_directory(path))
    throw Error(fmt::format("{}: cannot create the directory: {}; write elsewhere", path.string(),
                            error ? error.message() : "a file of this name is there"));
}

OutputFile& OutputFiles::add(const fs::path& path) { return *files_.emplace_back(std::make_unique<OutputFile>(path)); }

void OutputFiles::commit() {
  for (auto& file : files_) file->close();
  for (auto& file : files_) file->publish();
  created_.clear();
}

}  // namespace wavetile
