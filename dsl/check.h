// What a launch has to satisfy, checked before anything runs: no access without an offset leaves its tensor, and no
// two tensors share memory in a way that would make the result depend on the order of blocks.
#pragma once

#include <span>

#include "dsl/ir.h"
#include "dsl/tensor_view.h"

namespace wavetile {

/// Checks the tensors (in the order of g.tensors) and the scalars (of g.scalars) of a launch of `g`: their number,
/// rank, dtype, extents and data; that every range which indexes a tensor without an offset lies inside it; that
/// written tensors overlap neither themselves nor other tensors, unless the other one is the same view and is
/// loaded at the index of the stores only, and before them: a launch in place has the results of one with separate
/// memory. Costs well under a microsecond, and allocates only to report an error.
///
/// A range whose end is read from memory has to be bounded there: serial("t", min(length, K.dim(0))).
///
/// @throws Error naming kernel, tensor, axis and both extents.
void check_launch(const Graph& g, std::span<const TensorView> views, std::span<const double> scalars);

/// Whether two accesses (load or store) touch the same elements in every block and iteration: index by index the same
/// range and an offset of the same value.
bool same_index(const Graph& g, const Op& a, const Op& b);

/// Whether no two blocks or lanes touch an element that this access touches: the element's place tells the coordinate
/// in every parallel range, as that indexes a dimension whose offset depends on nothing else, and no offset is a tile.
bool is_private(const Graph& g, const Op& access);

/// Whether a launch may give a tensor that is stored and one that is loaded the same memory, as they are the same
/// tensor or check_launch lets them be the same view.
bool may_share(const Graph& g, int stored, int loaded);

/// Whether memory that a kernel loads under this tensor's name may be stored to by the same launch.
bool may_change(const Graph& g, int loaded);

}  // namespace wavetile
