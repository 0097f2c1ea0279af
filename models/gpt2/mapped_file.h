// Files are read by mapping them: what is never looked at is never loaded, and what has been used can be given back.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace wavetile {

/// A regular file, mapped read-only and private. The file must not be truncated while it is mapped.
class MappedFile {
 public:
  /// Throws Error naming the path if it is missing, a directory, not a regular file, or not readable.
  explicit MappedFile(std::filesystem::path path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Gives back the memory of mapped bytes that have been used; whoever reads them again waits for the file again.
void release_pages(std::span<const std::byte> mapped);

}  // namespace wavetile
