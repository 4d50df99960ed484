"""Compiled runs are those of NumPy: the same batches, and losses that differ by rounding."""

from __future__ import annotations

import importlib
from functools import partial

import numpy as np
import pytest

import genfun as gf
from genfun.data import gaussian
from genfun.engine import fused
from genfun.experiments import simulate, simulate_many
from genfun.experiments.simulation import compiled
from genfun.experiments.simulation.backend import Dtype

# The function of the same name hides the module.
MODULE = importlib.import_module("genfun.experiments.simulation.simulate")
RNG = np.random.default_rng(2)
# 60 samples of rank 40 are followed by their residuals, 300 of rank 6 by the weights.
WIDE = gf.LinearData.from_features(RNG.standard_normal((60, 40)) / 6.0, RNG.standard_normal((60, 1)))
TALL = gf.LinearData.from_features(RNG.standard_normal((300, 6)), RNG.standard_normal((300, 2)))


def both(monkeypatch, run):
    """The losses of a simulation by NumPy and by the compiled loop, and how often that was entered."""
    pytest.importorskip("numba")
    import numba  # noqa: F401

    entered = []
    monkeypatch.setattr(MODULE, "is_worth", lambda *each: False)
    plain = run()
    monkeypatch.setattr(compiled, "loaded", lambda *each: entered.append(1) or fused.loaded(*each))
    monkeypatch.setattr(MODULE, "is_worth", lambda *each: True)
    return plain, run(), len(entered)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        gf.SGD(0.2, 0.0, 1),
        gf.SGD(0.2, 0.9, 3),
        gf.SGD(0.1, -0.6, 5, replacement=True),
        gf.SGD(0.05, 0.5, 6, sampling="epochs"),
        gf.QHM(0.2, 0.9, 0.4, 6),
        gf.SGD(0.05, 0.9, 6, nesterov=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("data", [WIDE, TALL], ids=["residuals", "weights of two outputs"])
def test_compiled_runs_are_those_of_numpy(data, method, monkeypatch):
    # The steps recorded are some of those within blocks, the first and the last; a block has 512 steps.
    steps = [0, 1, 7, 511, 512, 600]
    plain, quick, entered = both(monkeypatch, lambda: simulate(data, method, 600, 3, "cpu", record=steps))
    assert entered == 1
    # Each of 600 steps rounds some hundred sums.
    np.testing.assert_allclose(quick.loss, plain.loss, rtol=1e-11)


@pytest.mark.slow
def test_compiled_settings_share_batches_in_either_precision(monkeypatch):
    settings = [gf.SGD(rate, beta, 4) for rate in (0.05, 0.2) for beta in (0.0, 0.8)]
    cases: list[tuple[Dtype, float]] = [("float64", 1e-12), ("float32", 1e-4)]
    for dtype, rounding in cases:
        plain, quick, _ = both(monkeypatch, partial(simulate_many, TALL, settings, 40, 3, "cpu", dtype=dtype))
        for one, other in zip(plain, quick, strict=True):
            np.testing.assert_allclose(other.loss, one.loss, rtol=rounding)


@pytest.mark.slow
def test_compiled_runs_that_overflow_end_at_infinity(monkeypatch):
    plain, quick, _ = both(monkeypatch, lambda: simulate(WIDE, gf.SGD(50.0, 0.5, 1), 600, 2, "cpu"))
    assert np.isinf(quick.loss[:, -1]).all()
    np.testing.assert_array_equal(np.isinf(quick.loss), np.isinf(plain.loss))


def test_numba_is_loaded_for_long_simulations_only(monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.delitem(fused.sys.modules, "numba", raising=False)
    monkeypatch.setattr(fused, "_compiled", lambda function: function)
    monkeypatch.setattr(fused, "_kept", lambda function: False)
    data, m = gaussian([1.0, 0.5, 0.2], [0.5, 0.2, 0.3], 1000, seed=0), gf.SGD(0.1, 0.9, 10)
    # 6 numbers of a row, 10 rows a step: 4e8 * 6 / 60 steps of a run are worth it.
    assert not compiled.is_worth(data, [m], 1_000_000, 30)
    assert compiled.is_worth(data, [m], 1_000_000, 50)
    assert compiled.is_worth(data, [m] * 50, 1_000_000, 1)
    full, scheduled = gf.SGD(0.1), gf.ScheduledSGD(0.1, 0.9, 10)
    assert not compiled.is_worth(data, [full, gf.SGD(0.1, batch_size=500), scheduled], 1_000_000, 1_000)
    monkeypatch.setitem(fused.sys.modules, "numba", None)
    assert compiled.is_worth(data, [m], 100_000, 10)
    assert not compiled.is_worth(data, [m], 100_000, 1)
