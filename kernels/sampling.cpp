// Sampling without sorts and scans: thresholds by bisection, the draw as an argmax.
//
// What decides is computed in i32 and in single f32 operations, never contracted: bits agree on all machines.
#include "kernels/sampling.h"

#include <limits>

#include "kernels/greatest.h"

namespace wavetile::kernels {
namespace {

constexpr int temperature = 0, top_p = 1, min_p = 2, penalty = 3;  // of Real
constexpr int top_k = 0, seed_low = 1, seed_high = 2;              // of Whole
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double log_2_high = 0.693359375, log_2_low = -2.12194440e-4;  // their sum; the first has 9 bits

// Cephes' logf, of positive numbers that are not denormal. Within 2 ulp.
Tile log_alike(Tile x) {
  constexpr double root_half = 0x3f3504f3;  // the bits of sqrt(1/2): the mantissa goes from there to sqrt(2)
  Tile b = bitcast<i32>(x) - root_half;
  Tile n = cast<f32>(b >> 23), m = bitcast<f32>((b & 0x7fffff) + root_half) - 1;
  Tile p = 7.0376836292e-2 * m - 1.1514610310e-1;
  p = p * m + 1.1676998740e-1;
  p = p * m - 1.2420140846e-1;
  p = p * m + 1.4249322787e-1;
  p = p * m - 1.6668057665e-1;
  p = p * m + 2.0000714765e-1;
  p = p * m - 2.4999993993e-1;
  p = p * m + 3.3333331174e-1;
  Tile z = m * m;
  return n * log_2_high + (m + (p * m * z + (n * log_2_low - 0.5 * z)));
}

// Cephes' expf, of numbers up to 0; 0 from about -87 down. Within 2 ulp.
Tile exp_alike(Tile x) {
  Tile n = max(round(x * 1.44269504088896341), -127);
  Tile r = x - n * log_2_high - n * log_2_low;
  Tile p = 1.9875691500e-4 * r + 1.3981999507e-3;
  p = p * r + 8.3334519073e-3;
  p = p * r + 4.1665795894e-2;
  p = p * r + 1.6666665459e-1;
  p = p * r + 5.0000001201e-1;
  return where(x < -87, 0, (p * r * r + r + 1) * bitcast<f32>((cast<i32>(n) + 127) << 23));
}

struct Pair {
  Tile x, y;
};
Pair mix(Pair p, int rotation) {
  Tile x = p.x + p.y;
  return {x, x ^ ((p.y << rotation) | ((p.y >> (32 - rotation)) & ((1 << rotation) - 1)))};
}
Pair mix(Pair p, int a, int b, int c, int d) { return mix(mix(mix(mix(p, a), b), c), d); }
Pair even_rounds(Pair p) { return mix(p, 13, 15, 26, 6); }
Pair odd_rounds(Pair p) { return mix(p, 17, 29, 16, 24); }

// 32 random bits. (The other word of the pair is as random, and not needed.)
Tile threefry(Pair key, Pair counter) {
  Tile third = key.x ^ key.y ^ 0x1BD11BDA;
  Pair p = even_rounds({counter.x + key.x, counter.y + key.y});
  p = odd_rounds({p.x + key.y, p.y + third + 1});
  p = even_rounds({p.x + third, p.y + key.x + 2});
  p = odd_rounds({p.x + key.x, p.y + key.y + 3});
  p = even_rounds({p.x + key.y, p.y + third + 4});
  return p.x + third;
}

// -log(E) of an exponential variate E = -log(1 - u), with all of f32's precision where u is small: there E is small,
// and wins. (log1p after Goldberg 1991, theorem 4.)
Tile gumbel(Tile bits) {
  Tile high = cast<f32>((bits >> 8) & 0xffffff), low = cast<f32>(bits & 0xff);
  Tile u = min((high * 256 + (low + 0.5)) * 0x1p-32, 1 - 0x1p-24);
  Tile rest = bitcast<f32>(bitcast<i32>(1 - u));  // rounded, by the interpreter too: the error cancels below
  Tile e = where(rest < 1, log_alike(rest) * (u / (rest - 1)), u);
  return -log_alike(e);
}

// An i32 in the order of the floats, and back.
Tile turned(Tile bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }
Tile key_of(Tile x) { return turned(bitcast<i32>(x)); }
Tile float_of(Tile key) { return bitcast<f32>(turned(key)); }

// Digits of a positive number in base two; one more where it rounds up to a power of two.
Tile digits_of(Tile n) { return (bitcast<i32>(cast<f32>(n)) >> 23) - 126; }

// The last key from `low` to `high` whose float `holds`, which is true up to some key: two bits a step, from the top.
// `low` where none does, or the search is not on.
template <class Holds>
Tile last_key(Tile on, Tile low, Arg high, Range row, Range digit, Holds holds) {
  Tile width = high - low;  // negative: it takes 32 digits
  Scalar steps = max((where(width < 0, 32, digits_of(max(width, 1))) + 1) / 2, row);
  return repeat(cast<i32>(on) * steps, low, [=](Scalar step, Tile key) {
    Scalar shift = 2 * (steps - step - 1);
    Tile tries = key + ((index(digit) + 1) << shift);
    Tile holding = holds(float_of(tries)) & (tries > key);  // else it wrapped
    return key + (sum(cast<i32>(holding), digit) << shift);
  });
}

Tile greatest_of(Tensor<f32> Z, Range row, Range col) {
  return fold(col, fill(-infinity, row), [=](Range c, Tile x) { return max(x, max(Z(row, c), c)); });
}

// The last key that has at least `p` of the mass from itself up, of what is not below the key `cut`.
Tile nucleus(Tensor<f32> Z, Tensor<i32> Weights, Range row, Range col, Range digit, Tile greatest, Tile cut, Scalar p) {
  // Sums are in units of 2^shift of the weights': as fine as 31 bits allow. A sum of what cannot overflow tells how
  // fine; once more, for rows so long that the first sum misses too much.
  auto mass = [=](Tile shift, Tile least) {
    return fold(col, fill<i32>(0, row),
                [=](Range c, Tile n) { return n + sum(where(Z(row, c) >= least, Weights(row, c) >> shift, 0), c); });
  };
  Scalar columns = Z.dim(1);
  Tile shift = repeat(2, digits_of(columns) + fill<i32>(0, row), [=](Scalar, Tile shift) {
    return max(digits_of(mass(shift, float_of(cut)) + columns) + shift - 30, 0);
  });
  Tile total = mass(shift, float_of(cut));
  Tile wanted = max(min(cast<i32>(p * cast<f32>(total)), total), 1);
  Tile low = where(greatest - 22 > float_of(cut), key_of(greatest - 22), cut);  // exp(-22) is no unit
  return last_key(p < 1, low, key_of(greatest), row, digit, [=](Tile least) {
    return fold(col, fill<i32>(0, row, digit), [=](Range c, Tile n) {
             return n + sum(where(Z(row, c) >= least, Weights(row, c) >> shift, 0), c);
           }) >= wanted;
  });
}

}  // namespace

Kernel mark_seen() {
  return Kernel("mark_seen", {"Ids", "Seen"}, [](Tensor<i32> Ids, Tensor<u8> Seen) {
    Range row = parallel("row", Ids.dim(0)), i = parallel("i", Ids.dim(1));
    Seen(row, Ids(row, i)) = 1;
  });
}

Kernel adjust_logits() {
  return Kernel("adjust_logits", {"Logits", "Seen", "Real", "Z"},
                [](Tensor<f32> Logits, Tensor<u8> Seen, Tensor<f32> Real, Tensor<f32> Z) {
                  Range row = parallel("row", Logits.dim(0)), c = parallel("col", Logits.dim(1));
                  Tile x = Logits(row, c), by = Real(row, penalty), t = Real(row, temperature);
                  x = where(Seen(row, c) != 0, where(x < 0, x * by, x / by), x);
                  Z(row, c) = x / where(t > 0, t, 1);
                });
}

Kernel weigh_tokens() {
  return Kernel("weigh_tokens", {"Z", "Real", "Weights"}, [](Tensor<f32> Z, Tensor<f32> Real, Tensor<i32> Weights) {
    Range row = single("row", Z.dim(0)), col = serial("col", Z.dim(1));
    Scalar r = first(row);
    Tile by_mass = (Real(r, temperature) > 0) & (Real(r, top_p) < 1);
    repeat(cast<i32>(by_mass), State{}, [=](Scalar, const State&) {
      Tile greatest = greatest_of(Z, row, col);
      each(col, [=](Range c) {
        Tile z = Z(row, c);
        Weights(row, c) = cast<i32>(exp_alike(where(z == greatest, 0, z - greatest)) * 0x1p30 + 0.5);
      });
      return State{};
    });
  });
}

Kernel sampling_threshold() {
  return Kernel("sampling_threshold", {"Z", "Real", "Whole", "Weights", "Least"},
                [](Tensor<f32> Z, Tensor<f32> Real, Tensor<i32> Whole, Tensor<i32> Weights, Tensor<f32> Least) {
                  Range row = single("row", Z.dim(0)), col = serial("col", Z.dim(1)), digit = whole("digit", 3);
                  Scalar r = first(row), k = Whole(r, top_k), p = Real(r, top_p), m = Real(r, min_p);
                  Tile draws = Real(r, temperature) > 0, by_mass = draws & (p < 1), by_peak = draws & (m > 0);
                  Tile greatest = repeat(cast<i32>(by_mass | by_peak), fill(-infinity, row),
                                         [=](Scalar, Tile) { return greatest_of(Z, row, col); });
                  Tile lowest = key_of(fill(-infinity, row));
                  Tile key = last_key(draws & (k > 0), lowest, 0x7fffffff, row, digit, [=](Tile least) {
                    return fold(col, fill<i32>(0, row, digit),
                                [=](Range c, Tile n) { return n + sum(cast<i32>(Z(row, c) >= least), c); }) >= k;
                  });
                  key = repeat(cast<i32>(by_mass), key, [=](Scalar, Tile key) {
                    return nucleus(Z, Weights, row, col, digit, greatest, key, p);
                  });
                  Tile peak = where(by_peak, greatest + log_alike(max(m, 0x1p-126)), -infinity);
                  Least(row) = max(float_of(key), peak);
                });
}

Kernel draw_token() {
  return Kernel("draw_token", {"Z", "Least", "Real", "Whole", "Position", "Next"},
                [](Tensor<f32> Z, Tensor<f32> Least, Tensor<f32> Real, Tensor<i32> Whole, Tensor<i32> Position,
                   Tensor<i32> Next) {
                  Range row = single("row", Z.dim(0));
                  Scalar r = first(row), draws = cast<i32>(Real(r, temperature) > 0);
                  Pair seed{Whole(r, seed_low), Whole(r, seed_high)};
                  State best = fold(
                      serial("col", Z.dim(1)), State{fill(-infinity, row), fill<i32>(0, row)},
                      [=](Range c, const State& s) {
                        Tile z = Z(row, c);
                        Tile dropped = z < Least(row);  // not a NaN
                        Tile some = max(max(where(dropped, 0, draws), c), row);
                        Tile noise = repeat(some, fill(0, row, c), [=](Scalar, Tile) {
                          return gumbel(threefry(seed, {index(c), Position(r)}));
                        });
                        z = where(dropped, -infinity, z + noise);
                        return greatest(s, {max(z, c), argmax(z, c)});
                      },
                      greatest);
                  Next(row) = best[1];
                });
}

Kernel log_softmax_statistics() {
  return Kernel("log_softmax_statistics", {"X", "Max", "LogSum"},
                [](Tensor<f32> X, Tensor<f32> Max, Tensor<f32> LogSum) {
                  Range row = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
                  Tile x = X(row, c), top = max(x, c);
                  Max(row) = top;
                  LogSum(row) = log(sum(exp(x - top), c));
                });
}

}  // namespace wavetile::kernels
