"""The two linear recurrences in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def remark() -> str:
    """How the recurrence runs on this device, where that is not a loop; for tables such as `rk.explain`."""
    device = jax.default_backend()
    return "" if device == "cpu" else f"as an associative scan on the {device.upper()}: log2(T) passes over all T steps"


def forward(recurrence, a, b, first):
    """s_t = a_t * s_{t-1} + b_t."""
    if jax.default_backend() == "cpu":
        return scanned(recurrence, a, b, first)
    b = b.at[0].add(recurrence.times(a[0], first)) if b.shape[0] else b
    return jax.lax.associative_scan(joined(recurrence), (a, b))[1]


def backward(recurrence, a, d):
    """g_t = d_t + a_{t+1} * g_{t+1}."""
    if not d.shape[0]:
        return d
    after = jnp.concatenate([a[1:], jnp.zeros_like(a[:1])])
    if jax.default_backend() == "cpu":
        return scanned(recurrence, after, d, jnp.zeros_like(d[0]), reverse=True)
    return jax.lax.associative_scan(joined(recurrence), (after, d), reverse=True)[1]


def scanned(recurrence, a, b, first, reverse: bool = False):
    def step(s, now):
        s = recurrence.times(now[0], s) + now[1]
        return s, s

    return jax.lax.scan(step, first, (a, b), reverse=reverse)[1]


def joined(recurrence):
    """Two neighbouring spans of steps as one."""

    def join(early, late):
        (a_early, b_early), (a_late, b_late) = early, late
        return recurrence.times(a_late, a_early), recurrence.times(a_late, b_early) + b_late

    return join
