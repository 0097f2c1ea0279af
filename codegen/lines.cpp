// Line tables: each instruction has the line of the op that it was made for, in the kernel author's file. They are
// beside the code and change nothing of it.
#include "codegen/lowering.h"

namespace wavetile {

void Lowering::begin_lines() {
  if (!target_.line_tables()) return;
  lines_ = std::make_unique<llvm::DIBuilder>(m_);
  if (!m_.getModuleFlag("Debug Info Version"))
    m_.addModuleFlag(llvm::Module::Warning, "Debug Info Version", llvm::DEBUG_METADATA_VERSION);
  const Loc& loc = g().loc;
  auto* file = lines_->createFile(loc.file, "");
  lines_->createCompileUnit(llvm::dwarf::DW_LANG_C_plus_plus_14, file, "wavetile", true, "", 0, "",
                            llvm::DICompileUnit::LineTablesOnly);
  auto* none = lines_->createSubroutineType(lines_->getOrCreateTypeArray({}));
  auto line = static_cast<unsigned>(loc.line);
  auto* kernel = lines_->createFunction(file, entry_.function->getName(), "", file, line, none, line,
                                        llvm::DINode::FlagZero, llvm::DISubprogram::SPFlagDefinition);
  entry_.function->setSubprogram(kernel);
  files_[loc.file] = kernel;
  at_line(loc);
}

void Lowering::at_line(const Loc& loc) {
  if (!lines_ || loc.line <= 0) return;
  llvm::DIScope*& scope = files_[loc.file];
  if (!scope)
    scope = lines_->createLexicalBlockFile(entry_.function->getSubprogram(), lines_->createFile(loc.file, ""));
  b_.SetCurrentDebugLocation(llvm::DILocation::get(b_.getContext(), static_cast<unsigned>(loc.line), 0, scope));
}

void Lowering::end_lines() {
  if (lines_) lines_->finalize();
}

}  // namespace wavetile
