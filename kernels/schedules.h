// Schedules for the library's kernels, from what a machine can do: never from a model's or a benchmark's shape.
#pragma once

#include "codegen/caps.h"
#include "dsl/schedule.h"

namespace wavetile::kernels {

/// Columns of a panel of packed weights: every product reads its weights B[k,n] as [n/panel][k][panel].
int panel(const Caps& caps);
/// How a weight matrix B[k,n] (or a tied embedding) is laid out once, for all kernels that read it.
Packing weight_packing(const Caps& caps);
/// How K[head,t,d] of a cache lies in memory: positions in the lanes.
Packing key_packing(const Caps& caps);

Schedule matmul_schedule(const Caps& caps, long rows_to_expect, long depth);
Schedule gemv_schedule(const Caps& caps);
Schedule attention_schedule(const Caps& caps, bool one_row);
Schedule append_schedule(const Caps& caps);
Schedule embedding_schedule(const Caps& caps);
Schedule rows_schedule(const Caps& caps);

}  // namespace wavetile::kernels
