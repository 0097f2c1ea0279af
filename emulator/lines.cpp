// Addresses -> source lines, by LLVM's DWARF reader, which parses when asked: one thread at a time.
#include <mutex>

#include <llvm/DebugInfo/DWARF/DWARFContext.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Support/MemoryBuffer.h>

#include "emulator/decode.h"

namespace wavetile::emu {

struct Lines::State {
  std::mutex mutex;
  std::vector<std::byte> bytes;
  std::unique_ptr<llvm::object::ObjectFile> file;
  std::unique_ptr<llvm::DWARFContext> dwarf;
};

Lines::Lines(std::span<const std::byte> file) : state_(std::make_unique<State>()) {
  state_->bytes.assign(file.begin(), file.end());
  auto object = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(
      llvm::StringRef(reinterpret_cast<const char*>(state_->bytes.data()), state_->bytes.size()), "code object"));
  if (!object) {
    llvm::consumeError(object.takeError());
    return;
  }
  state_->file = std::move(*object);
  state_->dwarf = llvm::DWARFContext::create(*state_->file);
}

Lines::~Lines() = default;

std::optional<SourceLine> Lines::find(std::uint64_t address) const {
  if (!state_->dwarf) return std::nullopt;
  const std::scoped_lock lock(state_->mutex);
  for (const llvm::object::SectionRef& section : state_->file->sections()) {
    if (!section.isText() || address < section.getAddress() || address - section.getAddress() >= section.getSize()) {
      continue;
    }
    const auto line = state_->dwarf->getLineInfoForAddress(
        {address, section.getIndex()},
        llvm::DILineInfoSpecifier(llvm::DILineInfoSpecifier::FileLineInfoKind::AbsoluteFilePath));
    if (!line || line->Line == 0) return std::nullopt;
    return SourceLine{line->FileName, static_cast<int>(line->Line)};
  }
  return std::nullopt;
}

}  // namespace wavetile::emu
