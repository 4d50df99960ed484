"""What grows off the positive real axis: the modes together, where a mode on its own would exceed the loss itself."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.engine.dispatch import transform
from genfun.engine.recursion import Recursion
from genfun.engine.singularity import dominant_singularity, off_axis, update_roots

K = np.arange(1.0, 201.0)
STEEP = gf.LinearProblem(K**-2.5, K**-8.5)


@pytest.mark.parametrize("beta", [0.0, 0.3, -0.4])
def test_the_rate_off_the_axis_is_that_of_the_coupled_modes(beta: float) -> None:
    method = gf.SGD(0.9 * gf.max_learning_rate(STEEP, beta, 1), beta, 1)
    G = transform(STEEP, method, gf.SpectrallyExpressible())
    alone = G.off_axis_rate(np.inf)
    assert alone > 0.0  # a mode without what it feeds back to itself: -1.7 a step at beta = 0
    singular = dominant_singularity(G)
    # Every mode of the spectrum, against the few that are left when slow ones are merged.
    values = np.linalg.eigvals(Recursion(STEEP, [method], measures=STEEP.full_measures).coupled_map())
    assert np.log(np.abs(values).max()) == pytest.approx(singular.rate, abs=1e-12)
    off = (np.abs(values.imag) > 1e-9 * np.abs(values)) | (values.real < 0.0)
    largest = float(np.log(np.abs(values[off]).max()))
    assert singular.unresolved_rate == pytest.approx(largest, abs=1e-6)
    assert largest < singular.rate


@pytest.mark.parametrize("beta", [0.0, -0.4])
def test_late_losses_of_large_single_sample_steps_have_errors_that_hold(beta: float) -> None:
    method = gf.SGD(0.9 * gf.max_learning_rate(STEEP, beta, 1), beta, 1)
    steps = [100, 400, 3000]
    found = gf.predict(STEEP, method, [*steps, 10**8])
    right = Recursion(STEEP, [method], measures=STEEP.full_measures).run(steps[-1])[0][0][steps]
    assert found.status == "ok"
    # Two quadratures tell the error of the better one to a factor of 2.
    assert (np.abs(found.loss[:-1] / right - 1.0) <= 2.0 * found.error[:-1] + 1e-12).all()
    assert (found.error < 1e-7).all()
    # A contour that is forced has no recursion to be compared with: its error is what may be missed.
    forced = gf.predict(STEEP, method, steps, route="contour")
    assert (np.abs(forced.loss / right - 1.0) <= 2.0 * forced.error + 1e-12).all()
    assert (forced.error < 1e-7).all()


@pytest.mark.parametrize("beta", [0.0, 0.9, -0.99])
def test_two_roots_are_those_of_the_matrix(beta: float) -> None:
    a = np.append(np.geomspace(1e-14, 4.0, 301), [1.0, 0.0])
    rows = gf.SGD(0.1, beta, 1).update(a, beta)[0]
    matrix = np.moveaxis(np.array([[np.broadcast_to(x, a.shape) for x in row] for row in rows]), 2, 0)
    right = np.linalg.eigvals(matrix).astype(np.complex128)
    found = update_roots(rows, a.shape)
    same, turned = (np.abs(found - order).max(axis=1) for order in (right, right[:, ::-1]))
    # Next to a double root both err by the root of the rounding; none of these is as near to one.
    assert np.minimum(same, turned).max() < 1e-13
    assert (off_axis(found) > 0.0).tolist() == (off_axis(right) > 0.0).tolist()


def test_two_roots_of_nothing_are_zero() -> None:
    assert (update_roots(((0.0, 0.0), (0.0, 0.0)), (3,)) == 0.0).all()


def test_long_runs_of_one_momentum_are_parted_without_a_gap() -> None:
    problem, rates, momenta = gf.PowerLaw(1.5, 0.5, n_modes=1000), np.geomspace(0.01, 1.0, 1201), [0.0, 0.5]
    found = gf.noise_gain_map(problem, rates, momenta, batch_size=10)
    for i in (0, 233, 234, 600, 601, 1200):
        for j, beta in enumerate(momenta):
            single = gf.stability(problem, gf.SGD(float(rates[i]), beta, 10)).noise_gain
            assert found[i, j] == pytest.approx(single, rel=1e-12)
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=0) > 0.0).all()
