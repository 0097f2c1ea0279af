// One call of a compiled kernel against the IR interpreter. The device's memory has to be the host's, as the cpu's is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codegen/compile.h"
#include "dsl/error.h"

namespace wavetile {

struct VerifyOptions {
  /// Steps of the innermost loops (m·n·k of a product) up to which all of a call is computed again, at some 50 million
  /// a second. Of a larger call it is one random window of the grid, with everything that goes into it.
  double most = 2e8;
  uint64_t seed = 0;  // of the windows
};

/// The first element that is not what it should be; the text says all of it.
class VerifyError : public Error {
 public:
  struct Mismatch {
    std::string label, tensor;   // of the call; as the kernel names it
    std::vector<int64_t> index;  // of the element
    double got = 0, want = 0, tolerance = 0;
  };
  VerifyError(Loc loc, const std::string& text, Mismatch m) : Error(loc, text), mismatch_(std::move(m)) {}
  const Mismatch& mismatch() const { return mismatch_; }

 private:
  Mismatch mismatch_;
};

/// Made before a call, compared after it.
class CallCheck {
 public:
  /// Copies what the tensors hold, computes what they should hold afterwards, and by how much rounding may miss it
  /// (runtime/error_bounds.h). Elements that the call only writes are set to NaN or -1, so that none is right by what
  /// was there.
  CallCheck(const CompiledKernel& k, std::vector<TensorView> tensors, std::vector<double> scalars,
            const VerifyOptions& options);

  /// @throws VerifyError, at the line of the store, where an element is out of its bound (NaN is equal to NaN only), or
  /// where the call changed memory of its tensors, or between their elements, that it does not write.
  void compare(const std::string& label);

 private:
  /// Bytes of the elements of a tensor from its address: the sum over the dimensions.
  struct Places {
    std::vector<std::vector<int64_t>> of;
    int64_t lo = 0, hi = 0;  // all elements lie in [lo, hi)
  };
  /// Memory that tensors lie in, as one piece where they overlap.
  struct Span {
    char* address = nullptr;
    size_t bytes = 0;
    bool written = false;
    std::vector<char> before = {}, work = {};  // as it was; where it is written, what the interpreter works on
    size_t skip = 0;                           // bytes in front, so that elements lie as aligned as they did
  };
  struct Output {
    size_t tensor;
    TensorView want;
    std::vector<float> errors;
    std::vector<int32_t> sites;
  };

  static Places places_of(const TensorView& v, const Packing* p);
  template <class F>
  static void for_elements(const TensorView& v, const Places& p, F f);
  void copy_spans();
  Span& span_of(size_t tensor);
  TensorView shadow_of(size_t tensor);
  void narrow(Graph& g, const VerifyOptions& options);
  void interpret_call(const VerifyOptions& options);
  void poison();
  void compare_output(const Output& o, const std::string& label);
  void compare_rest(const std::string& label);
  std::string describe(const std::string& label) const;

  const CompiledKernel& kernel_;
  std::vector<TensorView> tensors_;
  std::vector<double> scalars_;
  std::vector<Places> places_;
  std::vector<Span> spans_;
  std::vector<std::vector<char>> unpacked_;  // tensors that the schedule packs, row-major
  std::vector<Output> outputs_;
  std::vector<Loc> stores_;
  bool whole_ = true;  // not a window
};

}  // namespace wavetile
