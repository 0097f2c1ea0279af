// Assembly text -> machine code, through LLVM's assembler and an object in memory, of which the text section is kept.
#include <stdexcept>

#include <llvm/MC/MCAsmBackend.h>
#include <llvm/MC/MCCodeEmitter.h>
#include <llvm/MC/MCContext.h>
#include <llvm/MC/MCObjectFileInfo.h>
#include <llvm/MC/MCObjectWriter.h>
#include <llvm/MC/MCParser/MCAsmParser.h>
#include <llvm/MC/MCParser/MCTargetAsmParser.h>
#include <llvm/MC/MCStreamer.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/SourceMgr.h>

#include "emulator/decode.h"
#include "emulator/llvm_target.h"

namespace wavetile::emu {

std::vector<std::byte> assemble(const Chip& chip, int lanes, std::string_view text) {
  LlvmTarget t(chip, lanes);
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(text)), llvm::SMLoc());
  std::string words;
  sources.setDiagHandler(
      [](const llvm::SMDiagnostic& d, void* to) {
        auto& out = *static_cast<std::string*>(to);
        if (!out.empty()) out += "; ";
        out += d.getMessage().str() + ": " + d.getLineContents().trim().str();
      },
      &words);
  llvm::MCContext context(t.triple, t.assembly.get(), t.registers.get(), t.subtarget.get(), &sources, &t.options);
  const std::unique_ptr<llvm::MCObjectFileInfo> info(t.target->createMCObjectFileInfo(context, /*PIC=*/true));
  context.setObjectFileInfo(info.get());
  llvm::SmallString<0> object;
  llvm::raw_svector_ostream out(object);
  std::unique_ptr<llvm::MCAsmBackend> backend(t.target->createMCAsmBackend(*t.subtarget, *t.registers, t.options));
  auto writer = backend->createObjectWriter(out);
  const std::unique_ptr<llvm::MCStreamer> streamer(t.target->createMCObjectStreamer(
      t.triple, context, std::move(backend), std::move(writer),
      std::unique_ptr<llvm::MCCodeEmitter>(t.target->createMCCodeEmitter(*t.instructions, context)), *t.subtarget));
  const std::unique_ptr<llvm::MCAsmParser> parser(llvm::createMCAsmParser(sources, context, *streamer, *t.assembly));
  const std::unique_ptr<llvm::MCTargetAsmParser> target_parser(
      t.target->createMCAsmParser(*t.subtarget, *parser, *t.instructions, t.options));
  parser->setTargetParser(*target_parser);
  if (parser->Run(/*NoInitialTextSection=*/false) || !words.empty()) {
    throw std::invalid_argument(std::string(chip.name) + ": " + (words.empty() ? "cannot be assembled" : words));
  }
  auto file = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(object, "assembled"));
  if (!file) throw std::invalid_argument(llvm::toString(file.takeError()));
  for (const llvm::object::SectionRef& section : (*file)->sections()) {
    if (!section.isText()) continue;
    auto contents = section.getContents();
    if (!contents) throw std::invalid_argument(llvm::toString(contents.takeError()));
    const auto* bytes = reinterpret_cast<const std::byte*>(contents->data());
    return {bytes, bytes + contents->size()};
  }
  return {};
}

}  // namespace wavetile::emu
