// From LLVM's relocatable object to a code object: what its metadata says of each kernel is checked, then lld links it.
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>

#include <fmt/format.h>
#include <lld/Common/Driver.h>
#include <llvm/BinaryFormat/MsgPackDocument.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Support/CrashRecoveryContext.h>

#include "codegen/amdgpu_target.h"
#include "dsl/error.h"

LLD_HAS_DRIVER(elf)

namespace wavetile {
namespace {

namespace fs = std::filesystem;

// lld takes and gives files; these are in a directory that only this user can read, gone at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::error_code ec;
    fs::path parent = fs::temp_directory_path(ec);
    if (ec)
      throw Error(fmt::format("no directory for temporary files: {}; set TMPDIR to one that exists", ec.message()));
    std::string name = (parent / "wavetile-XXXXXX").string();
    if (!mkdtemp(name.data()))
      throw Error(fmt::format("{}: cannot make a temporary directory: {}; set TMPDIR to a writable one", name,
                              std::strerror(errno)));
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ec;
    fs::remove_all(path_, ec);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

void run_lld(const std::string& input, const std::string& output) {
  static std::mutex one_at_a_time;  // lld keeps its state in globals
  static bool usable = true;
  std::lock_guard lock(one_at_a_time);
  if (!usable) throw InternalError("lld failed before and cannot run again in this process");
  std::string out, errors;
  llvm::raw_string_ostream out_stream(out), error_stream(errors);
  std::vector<const char*> args{"ld.lld", "-shared",      "--no-undefined", "--threads=1",
                                "-o",     output.c_str(), input.c_str()};
  llvm::CrashRecoveryContext::Enable();  // a fatal error of lld returns here instead of ending the process
  lld::Result r = lld::lldMain(args, out_stream, error_stream, {{lld::Gnu, &lld::elf::link}});
  llvm::CrashRecoveryContext::Disable();
  usable = r.canRunAgain;
  if (r.retCode) throw InternalError(fmt::format("lld: {}", errors));
}

std::string metadata_of(const std::vector<char>& object) {
  auto parsed = llvm::object::ELF64LEFile::create({object.data(), object.size()});
  if (!parsed) throw InternalError("amdgpu: not an object: " + llvm::toString(parsed.takeError()));
  auto sections = parsed->sections();
  if (!sections) throw InternalError("amdgpu: an object without sections: " + llvm::toString(sections.takeError()));
  std::string metadata;
  for (const auto& section : *sections) {
    if (section.sh_type != llvm::ELF::SHT_NOTE) continue;
    llvm::Error problem = llvm::Error::success();
    for (const auto& note : parsed->notes(section, problem))
      if (note.getName() == "AMDGPU" && note.getType() == llvm::ELF::NT_AMDGPU_METADATA)
        metadata = note.getDescAsStringRef(section.sh_addralign).str();
    if (problem) throw InternalError("amdgpu: a broken note: " + llvm::toString(std::move(problem)));
  }
  return metadata;
}

}  // namespace

void check_resources(const std::vector<char>& relocatable, const Caps& caps) {
  std::string metadata = metadata_of(relocatable);
  llvm::msgpack::Document document;
  if (!document.readFromBlob(metadata, false) || !document.getRoot().isMap())
    throw InternalError("amdgpu: an object without kernel metadata");
  for (auto& node : document.getRoot().getMap()["amdhsa.kernels"].getArray()) {
    auto& kernel = node.getMap();
    auto number = [&](const char* key) {
      auto it = kernel.find(key);
      return it == kernel.end() ? uint64_t{0} : it->second.getUInt();
    };
    std::string name = kernel[".name"].getString().str();
    // Spilled SGPRs go to lanes of VGPRs, two cheap instructions each, which wavetile-report shows; or where there are
    // none left to scratch memory, which counts.
    uint64_t scratch = number(".private_segment_fixed_size"), spilled = number(".vgpr_spill_count");
    if (scratch || spilled)
      throw Error(
          fmt::format("kernel '{}' does not fit the registers of {}: {} of them would be spilled, with {} bytes of "
                      "scratch memory a lane; give its schedule smaller tiles, more warps or fewer stages",
                      name, caps.name, spilled, scratch));
  }
}

std::vector<char> link_code_object(const std::vector<char>& relocatable) {
  TemporaryDirectory directory;
  std::string input = directory.file("kernel.o"), output = directory.file("kernel.hsaco");
  std::ofstream file(input, std::ios::binary);
  file.write(relocatable.data(), static_cast<std::streamsize>(relocatable.size()));
  file.close();
  if (!file) throw Error(fmt::format("{}: cannot write; is the disk full? TMPDIR names another place", input));
  run_lld(input, output);
  std::ifstream linked(output, std::ios::binary);
  std::vector<char> bytes{std::istreambuf_iterator<char>(linked), {}};
  if (!linked || bytes.empty()) throw Error(fmt::format("{}: cannot read what lld wrote", output));
  return bytes;
}

}  // namespace wavetile
