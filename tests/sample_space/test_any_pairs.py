"""Many settings of any method at once, under the noise of data, against one after the other."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from own_methods import Nesterov

import genfun as gf
from genfun.engine.many import one_by_one
from genfun.engine.settings import Settings
from genfun.methods.family import Family


@functools.cache
def table():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 4)) * np.arange(1, 5) ** -0.7
    return gf.LinearData.from_features(X, X @ np.ones(4) + 0.2 * rng.standard_normal(40))


@pytest.mark.parametrize("step", [7, 60, 800])
@pytest.mark.parametrize(
    "template",
    [gf.QHM(1.0, nu=0.7), gf.MemorySGD.two_timescale(1.0, slow=0.99, weight=2.0), Nesterov(1.0, 0.0, 4)],
    ids=lambda m: type(m).__name__,
)
def test_settings_together_are_settings_one_by_one(template, step):
    data, rng = table(), np.random.default_rng(1)
    noise = data.measured_noise
    rates, momenta = 10 ** rng.uniform(-2.5, -0.7, 6), np.array([-0.8, -0.3, 0.0, 0.5, 0.9, 0.97])
    settings = Settings.of(data.problem, Family(template), rates, momenta, 4, noise)
    together, error = noise.losses_at(settings, step)
    apart, apart_error = one_by_one(settings, step)
    assert (together.relative_difference(apart) <= error + apart_error + 1e-7).all()  # 9 nodes and 7 agree by chance
    assert error.max() < 1e-4
