"""Noise by all fourth moments: against its own recursion, against the model it contains, and against its own rules."""

from __future__ import annotations

import numpy as np
import pytest
from own_methods import Nesterov

import genfun as gf

rng = np.random.default_rng(7)
LAM = np.sort(rng.uniform(0.02, 1.0, 12))[::-1]
PROBLEMS = [
    gf.LinearProblem(LAM, rng.uniform(0.1, 1.0, 12)),
    gf.LinearProblem(LAM, rng.uniform(0.1, 1.0, 12), n_samples=40, noise_variance=0.3),
]


def moments_of(tau1: float, tau2: float, label: bool = False) -> gf.FourthMoments:
    """Those that spectrally expressible noise stands for."""
    matrix = tau1 * np.outer(LAM, LAM) + (1.0 - tau2) * np.diag(LAM**2)
    return gf.FourthMoments(matrix, 0.3 * LAM if label else None)


def heavy_tailed(n_samples: int = 60, labels: float = 0.5) -> gf.LinearData:
    """Features whose fourth moments are far from any tau1, tau2, with residuals that go with them."""
    local = np.random.default_rng(3)
    X = local.standard_t(5, (n_samples, 6)) * np.arange(1, 7) ** -0.7
    return gf.LinearData.from_features(X, X @ np.ones(6) + labels * X[:, 0] ** 2)


@pytest.mark.parametrize("problem", PROBLEMS, ids=["streaming", "finite with label noise"])
@pytest.mark.parametrize(("tau1", "tau2"), [(1.0, 1.0), (1.0, -1.0), (0.7, 0.3), (1.5, 0.0)])
def test_expressible_moments_answer_as_the_expressible_model(problem, tau1, tau2):
    model = gf.SpectrallyExpressible(tau1, tau2)
    own = moments_of(tau1, tau2, label=problem.noise_variance > 0.0)
    for beta, b in ((-0.8, 1), (0.0, 7), (0.9, 3)):
        top = gf.max_learning_rate(problem, beta, b, model)
        assert gf.max_learning_rate(problem, beta, b, own) == pytest.approx(top, rel=1e-10)
        for share in (0.5, 1.02):  # beyond the edge too
            method, steps = gf.SGD(share * top, beta, b), [1, 10, 300, 5000]
            expected, found = (gf.predict(problem, method, steps, x).log_loss for x in (model, own))
            # Growth over 5,000 steps multiplies the rounding of the rate.
            assert np.abs(np.expm1(found - expected)).max() < 1e-10 * max(1.0, np.abs(expected).max())
            ends = [gf.stability(problem, method, x) for x in (model, own)]
            assert ends[0].status == ends[1].status
            assert ends[1].noise_gain == pytest.approx(ends[0].noise_gain, rel=1e-10)
            assert ends[1].growth_rate == pytest.approx(ends[0].growth_rate, rel=1e-9)
            assert ends[1].floor == pytest.approx(ends[0].floor, rel=1e-10)
        goal = gf.predict(problem, gf.SGD(0.5 * top, beta, b), 200, model).loss * 1.0001
        assert len({gf.steps_to_loss(problem, gf.SGD(0.5 * top, beta, b), goal, x) for x in (model, own)}) == 1


@pytest.mark.slow
def test_expressible_moments_give_the_same_map_and_optimum():
    model, own = gf.SpectrallyExpressible(1.0, -1.0), moments_of(1.0, -1.0)
    grids = [gf.loss_map(PROBLEMS[0], [0.01, 0.1, 0.3], [-0.5, 0.0, 0.9], 300, 2, x) for x in (model, own)]
    # A map claims 1e-6, and its error says what each cell has.
    assert np.allclose(grids[0].log_loss, grids[1].log_loss, rtol=0, atol=4e-6)
    assert np.allclose(grids[0].noise_gain, grids[1].noise_gain, rtol=1e-10)
    best = [gf.optimize(PROBLEMS[0], 2, 200, noise=x) for x in (model, own)]
    assert best[1].loss == pytest.approx(best[0].loss, rel=1e-6)


@pytest.mark.parametrize("beta", [-0.7, 0.0, 0.8])
@pytest.mark.parametrize("labels", [0.0, 0.5])
def test_contour_equals_recursion_at_2000_steps(beta, labels):
    data = heavy_tailed(labels=labels)
    noise = gf.FourthMoments.of(data)
    top = gf.max_learning_rate(data, beta, 5, noise)
    for method in (gf.SGD(0.3 * top, beta, 5), Nesterov(0.2 * top, abs(beta), 5)):
        contour, steps = (gf.predict(data, method, 2000, noise, route=r).loss for r in ("contour", "recursion"))
        assert contour == pytest.approx(steps, rel=1e-12)


def test_the_recursion_is_that_of_whole_matrices():
    """Step by step, in the plain form of the definition, with nothing divided by eigenvalues."""
    data, method = heavy_tailed(), gf.SGD(0.02, -0.4, 7)
    phi, eps, lam = data.eigenfeatures, data.residuals[:, 0], data.eigenvalues
    gamma = (60 - 7) / (59 * 7)
    m, v_m = -data.coefficients[:, 0], np.zeros(6)
    c, j, p = m**2, np.zeros(6), np.zeros(6)
    losses = []
    for _ in range(30):
        losses.append(0.5 * (lam @ c + data.noise_variance))
        residual = phi**2 @ c + eps**2 - 2.0 * eps * (phi @ m)  # E r^2 with the diagonal of C
        kick = gamma * 0.02**2 * ((phi**2).T @ residual / 60 - lam**2 * c)
        a, b = 0.02 * lam, -0.4
        p_new = a**2 * c - 2 * a * b * j + b**2 * p + kick
        j_new = -a * (1 - a) * c + ((1 - a) * b - a * b) * j + b**2 * p + kick
        c = (1 - a) ** 2 * c + 2 * (1 - a) * b * j + b**2 * p + kick
        j, p = j_new, p_new
        v_m = b * v_m - a * m
        m = m + v_m
    found = gf.predict(data, method, np.arange(30), gf.FourthMoments.of(data)).loss
    assert np.allclose(found, losses, rtol=1e-12)


def test_data_of_one_feature_at_a_time_have_exactly_this_noise():
    """Each sample has one non-zero eigenfeature: nothing off the diagonal feeds it."""
    X = np.kron(np.diag([2.0, 1.5, 1.0]), np.array([[1.0], [-0.5], [0.25]]))
    data = gf.LinearData.from_features(X, X @ np.array([1.0, -1.0, 2.0]) + 0.1 * np.arange(9))
    noise = gf.FourthMoments.of(data)
    exact = gf.max_learning_rate(data, 0.3, 2, "exact")
    assert gf.max_learning_rate(data, 0.3, 2, noise) == pytest.approx(exact, rel=1e-9)
    method = gf.SGD(0.6 * exact, 0.3, 2)
    assert np.allclose(
        gf.predict(data, method, [1, 5, 40], noise).loss, gf.predict(data, method, [1, 5, 40], "exact").loss, rtol=1e-9
    )


def test_the_full_batch_has_no_noise_left():
    data, noise = heavy_tailed(), gf.FourthMoments.of(heavy_tailed())
    for size in (None, 60):  # gamma is 0 at b = N
        method = gf.SGD(0.05, 0.5, size)
        quiet = gf.predict(data.problem, gf.SGD(0.05, 0.5), 50).loss
        assert gf.predict(data, method, 50, noise).loss == pytest.approx(quiet, rel=1e-12)
        assert noise.transform(data.problem, method).stepper(0.0, 50).losses(50)[50].value() == pytest.approx(quiet)


def test_many_modes_take_products_and_agree():
    lam = np.geomspace(1.0, 1e-3, 200)
    problem, own = gf.LinearProblem(lam, lam), gf.FourthMoments(np.outer(lam, lam) + 2.0 * np.diag(lam**2))
    model = gf.SpectrallyExpressible(1.0, -1.0)
    assert gf.stability(problem, gf.SGD(0.02, 0.5, 2), own).noise_gain == pytest.approx(
        gf.stability(problem, gf.SGD(0.02, 0.5, 2), model).noise_gain, rel=1e-10
    )


def test_what_does_not_match_is_refused_by_name():
    noise, method = moments_of(1.0, 1.0), gf.SGD(0.1, batch_size=1)
    with pytest.raises(ValueError, match=r"problem must be .* 12 in number, got 2 modes"):
        gf.predict(gf.LinearProblem([1.0, 0.5], [1.0, 1.0]), method, 10, noise)
    data = heavy_tailed()
    with pytest.raises(ValueError, match=r"problem must be .* other eigenvalues"):
        gf.max_learning_rate(data.normalized(), 0.0, 2, gf.FourthMoments.of(data))
    with pytest.raises(ValueError, match="n_modes"):
        gf.predict(gf.PowerLaw(1.5, 0.5), method, 10, noise)
    with pytest.raises(ValueError, match="symmetric"):
        gf.FourthMoments([[1.0, 0.5], [0.2, 1.0]])
    with pytest.raises(ValueError, match="label must be 2"):
        gf.FourthMoments(np.eye(2), label=[1.0])
    with pytest.raises(ValueError, match="cross must be of shape"):
        gf.FourthMoments(np.eye(2), cross=np.eye(3))
    with pytest.raises(TypeError, match="data must be a LinearData"):
        gf.FourthMoments.of(np.eye(3))  # type: ignore[arg-type]
