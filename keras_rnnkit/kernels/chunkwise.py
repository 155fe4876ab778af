"""The matrix memory of an mLSTM in chunks of steps: products of matrices within a chunk, one line between chunks.

S. Yang, Gated linear attention transformers with hardware-efficient training, 2024, has this form. With F_t the sum of
log f up to step t of a chunk, C the memory before the chunk, and the division by exp(m) left out:

    weight of step s in step t        exp(F_t - F_s + log i_s)
    C_t q_t                           sum over s <= t of weight * (k_s . q_t) v_s  +  exp(F_t) C q_t
    C after the chunk                 exp(F_L) C + sum over s of weight(s, L) * v_s k_s^T

The last line is linear in C, so it runs as every other linear recurrence does, over chunks instead of steps.
"""

from __future__ import annotations

import keras
import numpy as np

from keras_rnnkit.cells.mlstm import MLSTMCell
from keras_rnnkit.kernels.call_flags import CallFlags
from keras_rnnkit.kernels.linear_recurrence import LinearRecurrence
from keras_rnnkit.kernels.whole_sequence import held
from keras_rnnkit.ops import keras as kops

CHUNK = 64
"""Steps of a chunk, where a sequence has as many."""

NEVER = -1e30
"""The logarithm of a weight that counts for nothing: minus infinity would make the difference of two of them NaN."""


def refusal(cell, call: CallFlags) -> str | None:
    """Why the cell cannot be computed in this way, or None."""
    if type(cell).gates is not MLSTMCell.gates:
        return f"{type(cell).__name__} has gates of its own, of which the chunkwise form does not know"
    return "a chunk must not reach across a reset inside the sequence" if call.resets else None


def remark(call: CallFlags) -> str:
    """What a reader should know about this way of running a cell; an empty string for nothing."""
    return f"in chunks of {chunk_size(call.length)} steps, with products of matrices inside each"


def chunk_size(length) -> int:
    return min(CHUNK, max(length, 1)) if isinstance(length, int) else CHUNK


def outputs_and_states(cell, w, z, states, flags, start, training: bool):
    """The outputs [T, B, U] and the last states; the arguments are those of `whole_sequence.outputs_and_states`."""
    mask, length, dtype = flags.get("mask"), keras.ops.shape(z[0])[0], states[0]
    chunks = Chunks(cell.reads(kops, z), mask, chunk_size(z[0].shape[0]))
    m_before, m_after = chunks.exponents(kops.widen(states[2]))
    first = cell.matrices(kops, states[0], states[1])
    memories = chunks.memories(first, m_before, m_after, training)
    read, m = chunks.read(memories[:-1], m_before)
    y = cell.output(kops, chunks.steps(read)[:length], chunks.steps(m)[:length], chunks.o, dtype)
    last = kops.widen(kops.cast(m_after[-1], dtype))  # as the state will hold it, see `MLSTMCell.gates`
    end = memories[-1] * kops.exp(m_after[-1] - last)[..., None, None]
    return y if mask is None else held(y, mask), cell.states(kops, end, last, dtype)


class Chunks:
    """The steps of a sequence, [N, B, heads, L, ...], with those added that the last chunk is short of.

    A step that was added, or that is masked, leaves the memory as it is: log f = 0 and log i = NEVER.
    """

    def __init__(self, reads, mask, size: int):
        self.size, self.o = size, reads.o
        log_i, log_f = reads.log_i, reads.log_f
        if mask is not None:
            log_i = kops.where(mask[..., None], log_i, NEVER)
            log_f = kops.where(mask[..., None], log_f, 0.0)
        self.q, self.k = self.chunked(reads.q), self.chunked(reads.k)
        ones = kops.zeros_like(reads.v[..., :1]) + 1.0
        self.v = self.chunked(kops.concatenate([reads.v, ones]))
        self.log_i = self.chunked(log_i, NEVER)
        self.F = kops.cumsum(self.chunked(log_f), axis=-1)
        self.whole = self.F[..., -1]
        self.until_end = self.whole[..., None] - self.F + self.log_i

    def chunked(self, x, filler: float = 0.0):
        """[T, B, heads, ...] as [N, B, heads, L, ...]."""
        time, *rest = keras.ops.shape(x)
        missing = keras.ops.zeros((-time % self.size, *rest), dtype=x.dtype) + filler
        chunks = kops.reshape(kops.concatenate([x, missing], axis=0), (-1, self.size, *rest))
        return kops.transpose(chunks, 0, 2, 3, 1, *range(4, len(chunks.shape)))

    def steps(self, x):
        """The reverse of `chunked`."""
        x = kops.transpose(x, 0, 3, 1, 2, *range(4, len(x.shape)))
        return kops.reshape(x, (-1, *keras.ops.shape(x)[2:]))

    def exponents(self, first):
        """m before and after each chunk, [N, B, heads] each: the largest logarithm of a weight that has come up so far.

        m after chunk n is the largest of what each chunk k before it brought, plus the sum of log f since. The sums are
        computed for each k anew: as differences of one long sum they would lose their digits.
        """
        brought = kops.concatenate([first[None], kops.max(self.until_end, axis=-1)], axis=0)
        whole = kops.concatenate([kops.zeros_like(first)[None], self.whole], axis=0)
        number = keras.ops.arange(keras.ops.shape(whole)[0])
        later = (number[:, None] > number[None])[..., None, None]
        since = kops.cumsum(kops.where(later, whole[:, None], 0.0), axis=0)
        so_far = (number[:, None] >= number[None])[..., None, None]
        m = kops.max(kops.where(so_far, brought[None] + since, NEVER), axis=1)
        return m[:-1], m[1:]

    def memories(self, first, m_before, m_after, training: bool):
        """The matrices before the first chunk and after each one, [N + 1, B, heads, P + 1, P]."""
        weights = kops.exp(self.until_end - m_after[..., None])
        written = kops.matmul(keras.ops.swapaxes(self.v * weights[..., None], -1, -2), self.k)
        kept = kops.zeros_like(written) + kops.exp(self.whole + m_before - m_after)[..., None, None]
        recurrence = LinearRecurrence(lambda ops, a, s: a * s, is_complex=False, training=training)
        after = recurrence.solve(kops.flatten(kept, 3), kops.flatten(written, 3), kops.flatten(first, 3))
        return kops.concatenate([first[None], kops.unflatten(after, first.shape[1:])], axis=0)

    def read(self, memories, m_before):
        """C q and n . q of each step side by side, [N, B, heads, L, P + 1], and the m by which they are divided.

        An output is the same for every m, up to overflow, so m has no gradient here.
        """
        from_before = self.F + m_before[..., None]
        causal = np.where(np.tri(self.size, dtype=bool), 0.0, NEVER)
        weights = self.F[..., :, None] + (self.log_i - self.F)[..., None, :]
        weights = weights + keras.ops.convert_to_tensor(causal, weights.dtype)
        m = keras.ops.stop_gradient(kops.maximum(from_before, kops.max(weights, axis=-1)))
        scores = kops.matmul(self.q, keras.ops.swapaxes(self.k, -1, -2)) * kops.exp(weights - m[..., None])
        before = kops.matmul(self.q, keras.ops.swapaxes(memories, -1, -2))
        return kops.matmul(scores, self.v) + kops.exp(from_before - m)[..., None] * before, m
