// Which bits of a wave's registers hold something that was put there, in the manner of Valgrind's memcheck: moves pass
// undefined bits on, what computes, addresses or branches must not see them.
//
// A lane's bit in any(row) says that the lane has undefined bits in that register; which ones is in bits(row)[lane].
// Where the bit of any() is clear, bits() is not looked at, so that the common case is a few words' worth of tests.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emulator/checks/plan.h"
#include "emulator/wave.h"

namespace wavetile::emu::checks {

/// Where an undefined value came from: the load that read bytes which nothing wrote.
struct Origin {
  const Op* op = nullptr;
  const char* space = "";
  std::uint64_t address = 0;
};

class RegisterState {
 public:
  /// All registers of the wave are undefined, but those of `written` and what the hardware always sets.
  RegisterState(const Wave& w, const std::vector<RegisterRange>& written);

  std::uint64_t any(int row) const { return any_[static_cast<std::size_t>(row)]; }
  std::uint32_t bits(int row, int lane) const { return any(row) >> lane & 1 ? row_bits(row)[lane] : 0; }
  std::uint32_t scalar_bits(int reg) const {
    return undefined_scalars_[reg / 64] >> reg % 64 & 1 ? scalars_[static_cast<std::size_t>(reg)] : 0;
  }
  /// The undefined bits of one lane of a vector register: those of `mask` become `value`.
  void set(int row, int lane, std::uint32_t mask, std::uint32_t value);
  void define(int row, std::uint64_t lanes) { any_[static_cast<std::size_t>(row)] &= ~lanes; }
  void set_scalar(int reg, std::uint32_t undefined);
  bool scc_undefined() const { return scc_; }
  void set_scc(bool undefined) { scc_ = undefined; }

  /// Nothing undefined is read, and nothing undefined stays in what is written in part. `lanes` are those executed.
  bool clean(const Plan& p, std::uint64_t lanes) const {
    std::uint64_t any = (p.read_scalars[0] & undefined_scalars_[0]) | (p.read_scalars[1] & undefined_scalars_[1]);
    const std::uint64_t looked_at = p.cross_lane ? ~std::uint64_t{0} : lanes;
    for (const std::uint16_t row : p.read_rows) any |= any_[row] & looked_at;
    if (p.partial) {
      for (const std::uint16_t row : p.written_rows) any |= any_[row] & looked_at;
    }
    return any == 0 && !(p.uses_scc && scc_);
  }
  /// After clean(): what the instruction writes is defined. (Loads change that when their data comes.)
  void define_written(const Plan& p, std::uint64_t lanes) {
    undefined_scalars_[0] &= ~p.written_scalars[0];
    undefined_scalars_[1] &= ~p.written_scalars[1];
    for (const std::uint16_t row : p.written_rows) any_[row] &= ~lanes;
    if (p.writes_scc) scc_ = false;
  }

  std::array<Origin, 2 * kVgprs + kSpareRows> origin{};  // of undefined values in each row
  std::array<Origin, kScalars> scalar_origin{};

  struct Finding {
    bool scalar = false, scc = false;
    int reg = 0, lane = -1;
    std::uint64_t lanes = 0;
    std::uint32_t bits = 0;
    Origin origin{};
  };
  /// The slow path: what the instruction must not read is found (at most one, the first), and undefinedness is passed
  /// on. `w` is as before the instruction; it is unchanged afterwards.
  bool step(Wave& w, const Plan& p, Finding& found);

 private:
  struct Result;
  std::uint32_t* row_bits(int row) { return bits_.data() + static_cast<std::size_t>(row) * lanes_; }
  const std::uint32_t* row_bits(int row) const { return bits_.data() + static_cast<std::size_t>(row) * lanes_; }
  bool needs(const Wave& w, const Part& p, const Use& u, Finding& found) const;
  void vary(Wave& w, const Part& p, Result& result);
  void run_with(Wave& w, const Part& p, int only, bool ones, Result& result);
  void flow(const Wave& w, const Part& p, Result& result) const;
  void carry(const Wave& w, const Part& p, Result& result) const;
  std::uint32_t use_bits(const Use& u, int lane) const { return u.scalar ? scalar_bits(u.reg) : bits(u.reg, lane); }

  std::size_t lanes_;
  std::array<std::uint64_t, 2 * kVgprs + kSpareRows> any_{};
  std::vector<std::uint32_t> bits_;
  std::array<std::uint32_t, kScalars> scalars_{};
  std::uint64_t undefined_scalars_[2] = {};
  bool scc_ = true;
};

}  // namespace wavetile::emu::checks
