"""Every road to the same number: NumPy loop = stock Keras loop = scan = hoisted."""

import functools
import inspect

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit import kernels
from keras_rnnkit.kernels import parallel
from tests.conformance import reference
from tests.conformance.table import (
    ALL_MASKS,
    MASKS,
    RESETS,
    TABLE,
    B,
    T,
    arrays,
    built,
    flags,
    sequences,
    starts,
    under_all_masks,
)
from tests.covering import covering, crossed, studied

KERNELS = ("scan", "hoisted", "parallel")
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}

every_cell = pytest.mark.parametrize("name", TABLE)


@functools.cache
def is_parallel(name, resets=False):
    return parallel.refusal(rk.Recurrent(TABLE[name]()), kernels.CallFlags(resets=resets)) is None


def runs_on(name, kernel, *others):
    return kernel != "parallel" or is_parallel(name)


PAIRS = [(name, kernel) for name in TABLE for kernel in KERNELS if runs_on(name, kernel)]
ON_SCAN = ("lstm", "gru-reset-before", "layernorm-lstm", "conditioned-vanilla", "lru", "mlstm", "user")
"""The cells that the quick tests run on the kernel `scan` where it is not the subject: its loop is the same for all."""
WITH_RESETS = [(name, kernel) for name, kernel in PAIRS if kernel != "parallel" or is_parallel(name, resets=True)]
with_its_own_kernels = studied("name, kernel", PAIRS, [(name, kernel) for name, kernel in PAIRS if kernel != "scan"])
"""The loop of the kernel `scan` is the same for all cells."""
DIRECTIONS = [(backwards, zero_output) for backwards in (False, True) for zero_output in (False, True)]
SHAPES = [(1, 1), (1, T), (B, 1), (0, T)]
of_jax_a_study = pytest.mark.study if keras.backend.backend() == "jax" else lambda test: test
"""JAX compiles every shape anew; what our layers do around the loop is the same on both backends."""


NO_ROWS = ("mlstm", "parallel", (0, T))
"""Its largest exponents are those of no row, which Keras refuses to look for."""


def needs(dtype):
    if dtype == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX computes in float32 unless started with x64 enabled")


def close(ours, theirs, tolerance):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance)


def test_every_public_cell_has_a_row():
    public = {cls for cls in vars(rk.cells).values() if inspect.isclass(cls) and issubclass(cls, rk.cells.Cell)}
    abstract = {rk.cells.Cell, rk.cells.GatedCell, rk.cells.InputWeightsCell, rk.cells.LinearCell, rk.cells.WrapperCell}
    shown = {type(make()) for make in TABLE.values()} | {type(getattr(make(), "cell", None)) for make in TABLE.values()}
    assert public - abstract <= shown


@crossed("name, kernel, dtype", TABLE, KERNELS, TOLERANCE, where=runs_on)
def test_kernels_equal_the_numpy_loop(name, kernel, dtype, rng):
    needs(dtype)
    layer = built(name, rng, dtype, kernel=kernel)
    x, *state = under_all_masks(sequences(rng, dtype), *starts(layer.cell, rng, dtype))
    for mask in (None, ALL_MASKS):
        ours = arrays(layer(x, initial_state=state, mask=mask))
        close(ours, reference.run(layer, x, state, mask), TOLERANCE[dtype])


@of_jax_a_study
@studied(
    "name, kernel, go_backwards, zero_output",
    [(*pair, *flags) for pair in PAIRS for flags in DIRECTIONS],
    covering((*pair, *flags) for pair in PAIRS if pair[1] != "scan" or pair[0] in ON_SCAN for flags in DIRECTIONS),
)
def test_direction_and_hidden_outputs(name, kernel, go_backwards, zero_output, rng):
    """The masks read differently from each end, so that one which is not turned round shows."""
    layer = built(name, rng, kernel=kernel, go_backwards=go_backwards, zero_output_for_mask=zero_output)
    mask = flags([*MASKS["interior"], *MASKS["right-padded"]])
    x, *state = (np.concatenate([a, a]) for a in (sequences(rng, "float32"), *starts(layer.cell, rng, "float32")))
    expected = reference.run(layer, x, state, mask)
    close(arrays(layer(x, initial_state=state, mask=mask)), expected, 1e-5)
    layer.return_sequences = False
    close(arrays(layer(x, initial_state=state, mask=mask)), [expected[0][:, -1], *expected[1:]], 1e-5)


@studied("name, kernel", WITH_RESETS, [pair for pair in WITH_RESETS if pair[1] != "scan" or pair[0] in ON_SCAN])
def test_resets_go_back_to_the_start(name, kernel, rng):
    layer = built(name, rng, kernel=kernel, learn_initial_state=True)
    x, state = sequences(rng, "float32"), starts(layer.cell, rng, "float32")
    start = arrays(layer.start_states(state))
    for mask in (None, flags(MASKS["interior"])):
        ours = arrays(layer(x, initial_state=state, mask=mask, reset_mask=flags(RESETS)))
        close(ours, reference.run(layer, x, state, mask, flags(RESETS), start), 1e-5)


@every_cell
def test_the_cell_works_in_keras_own_loop(name, rng):
    layer = built(name, rng)
    host = keras.layers.RNN(layer.cell, return_sequences=True, return_state=True)
    x, state = sequences(rng, "float32"), starts(layer.cell, rng, "float32")
    close(arrays(host(x, initial_state=state)), arrays(layer(x, initial_state=state)), 1e-5)


@of_jax_a_study
@with_its_own_kernels
def test_chunked_equals_whole(name, kernel, rng):
    layer = built(name, rng, kernel=kernel)
    x, state = sequences(rng, "float32"), starts(layer.cell, rng, "float32")
    whole = arrays(layer(x, initial_state=state))
    pieces = []
    for chunk in (x[:, :2], x[:, 2:3], x[:, 3:]):
        piece, *state = layer(chunk, initial_state=state)
        pieces.append(keras.ops.convert_to_numpy(piece))
    close([np.concatenate(pieces, axis=1), *arrays(state)], whole, 1e-5)


@of_jax_a_study
@with_its_own_kernels
def test_a_padded_row_equals_the_row_alone(name, kernel, rng):
    layer = built(name, rng, kernel=kernel)
    x, state = sequences(rng, "float32"), starts(layer.cell, rng, "float32")
    lengths = np.array([5, 3, 1])
    x[np.arange(T) >= lengths[:, None]] = 99.0
    batch = arrays(layer(x, initial_state=state, mask=np.arange(T) < lengths[:, None]))
    for row, length in enumerate(lengths):
        alone = arrays(layer(x[row : row + 1, :length], initial_state=[s[row : row + 1] for s in state]))
        close([batch[0][row : row + 1, :length], *(s[row : row + 1] for s in batch[1:])], alone, 1e-5)


@of_jax_a_study
@studied(
    "name, kernel, shape",
    [(*pair, shape) for pair in PAIRS for shape in SHAPES],
    [NO_ROWS, *((*pair, SHAPES[(i + i // len(SHAPES)) % len(SHAPES)]) for i, pair in enumerate(PAIRS))],
)
def test_small_and_empty_batches(name, kernel, shape, rng):
    layer, (batch, time) = built(name, rng, kernel=kernel), shape
    x, state = sequences(rng, "float32", batch, time), starts(layer.cell, rng, "float32", batch)
    for mask in (None, np.ones((batch, time), bool)):
        close(arrays(layer(x, initial_state=state, mask=mask)), reference.run(layer, x, state, mask), 1e-5)


@pytest.mark.parametrize("name", ["lstm", "gru", "gru-reset-before", "coupled-lstm", "peephole-lstm", "layernorm-lstm"])
def test_swapped_gates_are_noticed(name, rng):
    """The weights of the table are all different, so exchanging two gates cannot go unseen."""
    layer = built(name, rng)
    x, state = sequences(rng, "float32"), starts(layer.cell, rng, "float32")
    right = reference.run(layer, x, state)
    gates = np.split(keras.ops.convert_to_numpy(layer.cell.kernel), layer.cell.gate_count, axis=1)
    for i in range(len(gates) - 1):
        swapped = [*gates[:i], gates[i + 1], gates[i], *gates[i + 2 :]]
        layer.cell.kernel.assign(np.concatenate(swapped, axis=1))
        assert np.abs(arrays(layer(x, initial_state=state))[0] - right[0]).max() > 1e-3
