// LLVM IR as text to machine code, for tests of what runs machine code. No LLVM in this header.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace wavetile {

/// How much LLVM works on it: of the optimiser 0 to 3 (0: nothing), of the code generator 0 to 3.
struct IrEffort {
  int optimise = 2, generate = 2;
};

/// A linked code object for `chip`, in waves of `lanes`. Throws InternalError with LLVM's words; what LLVM gives up on
/// (report_fatal_error) ends the process.
std::vector<char> compile_code_object(const std::string& ir, const std::string& chip, int lanes, IrEffort effort);
std::string compile_assembly(const std::string& ir, const std::string& chip, int lanes, IrEffort effort);

struct HostSymbol {
  const char* name;
  void* address;
};

/// Code in this process. It ends with the object.
class HostCode {
 public:
  virtual ~HostCode() = default;
  virtual void* symbol(const std::string& name) const = 0;
};
/// `symbols` come before those of the process.
std::unique_ptr<HostCode> compile_host(const std::string& ir, std::span<const HostSymbol> symbols, IrEffort effort);

}  // namespace wavetile
