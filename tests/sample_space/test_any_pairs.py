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
from genfun.sample_space import any_pairs


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


@pytest.mark.parametrize(
    ("template", "beta"),
    [
        (gf.MemorySGD.two_timescale(1.0, slow=0.99, weight=2.0), 0.5),
        (gf.MemorySGD.two_timescale(1.0, slow=0.9999, weight=5.0), -0.3),
        (gf.MemorySGD(1.0, 0.2, (0.5, 0.3), (1.0, 0.5), ((0.6, 0.1), (-0.1, 0.8))), 0.0),
    ],
    ids=["two time scales", "a long memory", "velocities that read each other"],
)
def test_sums_by_the_powers_of_one_mode_are_those_by_elimination(template, beta, monkeypatch):
    pairs = any_pairs.AnyPairs(table().measured_noise.pairs, type(template))
    method, k = Family(template).at(0.03, beta, 4), 12
    q = -np.expm1(-(0.02 + 0.1j * np.arange(1, k + 1)))
    asked = (q, tuple(np.full(k, h) for h in method.hyperparameters), np.full(k, 0.2), np.full(k, 0.03))
    assert all(powers is not None for _, powers in pairs._groups(q, asked[3], list(asked[1])))
    quick, _ = pairs.sums(*asked)
    monkeypatch.setattr(any_pairs, "MOST_LOST", 0.0)
    assert all(powers is None for _, powers in pairs._groups(q, asked[3], list(asked[1])))
    slow, _ = pairs.sums(*asked)
    np.testing.assert_allclose(quick, slow, rtol=1e-9, atol=1e-11 * np.abs(slow).max())


class Ahead:
    """Nesterov's momentum as he wrote it: the gradient is taken at w + beta v."""

    @staticmethod
    def update(a, beta, /):
        return ((1 - a, beta * (1 - a)), (-a, beta * (1 - a))), (1, 1)


def test_powers_are_not_taken_where_eigenvalues_coalesce_or_the_gradient_is_taken_elsewhere():
    measure = table().measured_noise.pairs
    q, ones = 0.01 + 0.1j * np.arange(12), np.ones(12)
    # Heavy ball with a velocity that forgets at once: both eigenvalues of the mode lam are sqrt(beta) = 0.5.
    rate = 0.25 / measure.nodes[0]
    critical = gf.MemorySGD(rate, 1.0, 0.25, 1.0, 0.25).hyperparameters
    for kind, hyper in ((gf.MemorySGD, critical), (Ahead, (0.5,))):
        found = any_pairs.AnyPairs(measure, kind)._groups(q, rate * ones, [h * ones for h in hyper])
        assert all(powers is None for _, powers in found)
