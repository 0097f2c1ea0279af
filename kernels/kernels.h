// The kernel library. Every kernel is written in the DSL; the schedules that go with them are in schedules.h.
//
// Shapes stand in the order of the parameters. Activations are f32; `weights` (and `cache`) name the element type of
// what is stored: f32, f16 or bf16. `inputs` is the type of a product's other factor (and `out` of what will be one):
// f32, or that of the weights for machines that multiply pairs of it. Products are accumulated in f32, over k in
// ascending order, so that a row's result depends neither on how many rows there are nor on the number of threads.
#pragma once

#include "dsl/dsl.h"

namespace wavetile::kernels {

/// C[m,n] = A[m,k] · B[k,n]
Kernel matmul(DType weights, DType inputs = DType::f32);
/// C[b,m,n] = A[b,m,k] · B[b,k,n]
Kernel batched_matmul(DType weights);

enum class Activation { none, gelu };
/// C[m,n] = activation(A[m,k] · B[k,n] + Bias[n])
Kernel linear(DType weights, Activation activation = Activation::none, DType inputs = DType::f32,
              DType out = DType::f32);
/// C[m,n] = R[m,n] + (A[m,k] · B[k,n] + Bias[n]); C may be R.
Kernel linear_residual(DType weights, DType inputs = DType::f32);

/// y[n] = x[k] · B[k,n]
Kernel gemv(DType weights, DType inputs = DType::f32);
/// y[n] = activation(x[k] · B[k,n] + Bias[n])
Kernel gemv_linear(DType weights, Activation activation = Activation::none, DType inputs = DType::f32,
                   DType out = DType::f32);
/// y[n] = r[n] + (x[k] · B[k,n] + Bias[n]); y may be r.
Kernel gemv_residual(DType weights, DType inputs = DType::f32);

/// Y[row,:] = (X[row,:] - mean) / sqrt(variance + eps) * Gain[:] + Bias[:]     (Ba et al. 2016; two passes)
Kernel layernorm(double eps = 1e-5, DType out = DType::f32);
/// Y[row,:] = softmax(X[row,:])
Kernel softmax();
/// Y[b,row,:] = softmax(X[b,row,:] * scale) over columns <= Start[0] + row; the columns after get 0.
Kernel causal_softmax(double scale);
/// Y[row] = the first column of X[row,:] that is greatest
Kernel argmax();

/// O[head,row,:] = softmax(scale · Q[head,row,:] · K[head,t,:] over t <= Start[0] + row) · V[head,t,:], without ever
/// holding a row of scores (Dao et al. 2022). Start[0] is how many positions came before row 0; K and V hold
/// Start[0] + rows positions at least. Keys that the mask hides are not read. The fold over t can be split.
/// `factors` is the type in which the products take Q and the weights of the sum: f32, or that of the cache.
Kernel attention(DType cache, double scale, DType out = DType::f32, DType factors = DType::f32);
/// K[head, Start[0] + row, :] = NewK[head,row,:], and V likewise, in place.
Kernel append_to_cache(DType cache);

/// Y[row,c] = Tokens[Id[row], c] + Positions[Start[0] + row, c]; Tokens is given transposed, [c, id], as the output
/// matrix that it also is.
Kernel embedding(DType weights);

/// The same for a batch of sequences, each at a position of its own: O[seq,...] from Q[seq,...], K[seq,...], V[seq,...]
/// and Start[seq]. A sequence's result is the same to the bit alone, in any batch, and without the axis.
Kernel batched_attention(DType cache, double scale, DType out = DType::f32, DType factors = DType::f32);
/// K[seq, head, Start[seq] + row, :] = NewK[seq,head,row,:], and V likewise, in place.
Kernel batched_append_to_cache(DType cache);
/// Y[seq,row,c] = Tokens[Id[seq,row], c] + Positions[Start[seq] + row, c]
Kernel batched_embedding(DType weights);

/// x·Φ(x) by GPT-2's tanh form: 0.5 x (1 + tanh(sqrt(2/π) (x + 0.044715 x³))).   Y[row,c] = gelu(X[row,c])
Kernel gelu();
Tile gelu(Tile x);
/// C[row,c] = A[row,c] + B[row,c]
Kernel add();
/// Y[i,j] = X[i,j], converted to the type of Y
Kernel copy(DType from, DType to);
/// Y[row,c] = X[Id[row], c]
Kernel gather();
/// Y[a,b,c] = X[a,b,c] of views in any order of strides: transposes, and splits or merges heads.
Kernel permute();

}  // namespace wavetile::kernels
