// Schedules for the library's kernels, from what a machine can do: never from a model's or a benchmark's shape.
#pragma once

#include "codegen/caps.h"
#include "dsl/dtype.h"
#include "dsl/schedule.h"

namespace wavetile::kernels {

/// Columns of a panel of packed weights: every product reads its weights B[k,n] as [n/panel][k][panel].
int panel(const Caps& caps);
/// How a weight matrix B[k,n] (or a tied embedding) is laid out once, for all kernels that read it.
/// Machines that multiply pairs of bf16 want two steps of k side by side: [n/panel][k/2][panel][2].
Packing weight_packing(const Caps& caps, DType weights);
/// The type that products want their other factor in.
DType input_type(const Caps& caps, DType weights);
/// How K[head,t,d] of a cache lies in memory: positions in the lanes. `batched`: K[seq,head,t,d], and the schedules of
/// the kernels with that axis.
Packing key_packing(const Caps& caps, bool batched = false);

/// The type in which attention over many rows multiplies.
DType factor_type(const Caps& caps, DType cache);

/// `rows` are those to expect; the kernel takes any number. For many rows and columns strides are to be known when the
/// kernel is compiled: places that only the launch gives may take more registers than large tiles leave.
Schedule matmul_schedule(const Caps& caps, DType weights, long rows, long columns, long depth,
                         DType inputs = DType::f32);
Schedule gemv_schedule(const Caps& caps, DType weights);
/// `head` divides the lengths of a head's keys and of its values.
Schedule attention_schedule(const Caps& caps, bool one_row, bool batched = false, DType factors = DType::f32,
                            int64_t head = 64);
Schedule append_schedule(const Caps& caps, bool batched = false);
Schedule embedding_schedule(const Caps& caps, DType weights);
Schedule rows_schedule(const Caps& caps);
Schedule argmax_schedule(const Caps& caps);
/// Of the kernels in sampling.h.
Schedule sampling_schedule(const Caps& caps);

}  // namespace wavetile::kernels
