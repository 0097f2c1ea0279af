// Time on gfx1151 (Strix Halo) as it follows from what the emulator counted. An ESTIMATE, never a measurement: nothing
// here has run on the GPU, and what overlaps imperfectly is not in it.
//
//   seconds = launch + the largest of
//     memory   distinct cache lines of the dispatch, read and written, over the bandwidth
//     valu     issue cycles of vector instructions over the SIMDs that have a wave
//     lds      cycles of LDS, bank conflicts with them, over the compute units that have a workgroup
//     matrix   operations of matrix instructions over their peak
//     latency  one round trip for each time that what is in flight has to come
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "emulator/counters.h"

namespace wavetile::bench {

/// What the estimate takes of the chip.
struct Rates {
  double bandwidth = 212e9;      // bytes/s; measured by others on this APU, whose memory has 256e9 in theory
  double clock = 2.9e9;          // Hz
  int simds = 80;                // of 40 compute units
  int compute_units = 40;        //
  double matrix_rate = 59.4e12;  // FLOP/s, bf16 and f16 WMMA
  double latency = 800e-9;       // s, of a load from memory
  double launch = 2e-6;          // s, of a dispatch behind another
  std::string_view chip = "gfx1151";
};

/// Seconds.
struct Estimate {
  double memory = 0, valu = 0, lds = 0, matrix = 0, latency = 0, launch = 0;
  double seconds() const;
  /// The name of the largest term.
  std::string_view bound() const;
};

/// @throws Error where the counters are those of another chip, or count nothing: an estimate of nothing would be zero.
Estimate estimate(const emu::Counters& c, const Rates& rates = {});

/// An object: microseconds of each term, and that it is an estimate.
std::string to_json(const Estimate& e);

/// Bytes of memory that the waves which fit the chip at a time ask for at once, at most.
double bytes_in_flight(const emu::Counters& c, const Rates& rates = {});
/// What has to be in flight to keep the memory busy.
inline double bytes_to_cover(const Rates& rates = {}) { return rates.bandwidth * rates.latency; }

/// Multiply-adds that were executed: by matrix instructions, and by all others (multiplications count as well).
struct MultiplyAdds {
  double matrix = 0, vector = 0;
};
MultiplyAdds multiply_adds(const emu::Counters& c);

}  // namespace wavetile::bench
