"""Best schedules: the gradient, the free optimum, the families, and what torch makes of the answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import genfun as gf
from genfun.engine import adjoint
from genfun.engine.adjoint import RateGradient
from genfun.noise import sampling_factor
from genfun.schedules import HoldThenLinear

NOISE = gf.SpectrallyExpressible(1.0, 0.3)
K = np.arange(1.0, 61.0)
PROBLEM = gf.LinearProblem(K**-1.5, K**-1.2, n_samples=500, noise_variance=0.1)


def _engine(beta, b, steps, most):
    return RateGradient(PROBLEM, NOISE, beta, sampling_factor(b, 500), steps, most)


@pytest.mark.parametrize(("beta", "b"), [(0.0, 1), (0.8, 10), (-0.4, 3), (0.5, None)])
@pytest.mark.parametrize("fast", [True, False])
def test_the_gradient_is_that_of_differences_and_the_loss_that_of_predict(beta, b, fast, monkeypatch):
    if not fast:
        monkeypatch.setattr(adjoint, "compiled", lambda: None)
    rates = 0.2 * np.random.default_rng(1).random(30) + 0.01
    engine = _engine(beta, b, 30, 0.3)
    excess, slopes = engine.slopes(rates)
    expected = gf.predict(PROBLEM, gf.ScheduledSGD(rates, beta, b), 30, NOISE).loss - 0.05
    assert excess == pytest.approx(float(expected), rel=1e-12)
    assert engine.excess(rates) == pytest.approx(float(expected), rel=1e-12)
    h = 1e-3
    for t in (0, 7, 28, 29):
        # Differences of sixth order: their error is of order h^6 and eps/h, both below 1e-10 here.
        weights = {-3: -1 / 60, -2: 3 / 20, -1: -3 / 4, 1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
        unit = np.eye(30)[t]
        found = sum(w * engine.slopes(rates + i * h * unit)[0] for i, w in weights.items()) / h
        assert slopes[t] == pytest.approx(found, rel=1e-8, abs=1e-11)


@pytest.mark.parametrize(
    ("steps", "b", "beta", "sigma2"), [(300, 1, 0.0, 0.0), (300, 1, 0.0, 0.3), (200, 10, 0.8, 0.1)]
)
def test_no_schedule_below_the_cap_is_better_than_the_free_optimum(steps, b, beta, sigma2):
    problem = gf.LinearProblem(K**-1.5, K**-1.2, noise_variance=sigma2)
    best = gf.best_schedule(problem, b, steps, beta)
    assert best.free_loss <= best.loss * (1.0 + 1e-9)
    assert all(gap >= best.loss / best.free_loss * (1.0 - 1e-9) for gap in best.gaps.values())
    assert best.gaps[best.family] == pytest.approx(best.loss / best.free_loss, rel=1e-9)
    # The yardstick is a schedule too, with the loss claimed and no rate above the cap.
    assert best.free_rates.max() <= 0.8 * best.edge * (1.0 + 1e-12)
    own = gf.predict(problem, gf.ScheduledSGD(best.free_rates, beta, b), steps).loss
    assert best.free_loss == pytest.approx(float(own), rel=1e-9)
    rng = np.random.default_rng(3)
    for _ in range(20):
        wiggled = np.minimum(best.free_rates * np.exp(0.1 * np.cumsum(rng.normal(size=steps)) / 4), 0.8 * best.edge)
        other = gf.predict(problem, gf.ScheduledSGD(wiggled, beta, b), steps).loss
        assert other >= best.free_loss * (1.0 - 1e-4)


def test_one_mode_without_noise_of_labels_has_the_optimum_of_the_books():
    # One mode, b = 1, tau = 1: c' = ((1-a)^2 + gamma(tau1 - tau2) a^2) c + gamma a^2 sigma^2 with gamma = 1. The best
    # rate of each step minimises a quadratic, and a_t = c/(c + sigma^2), from the front (dynamic programming agrees,
    # because c' rises with c).
    sigma2, c, steps = 0.5, 1.0, 20
    problem = gf.LinearProblem([1.0], [1.0], noise_variance=sigma2)
    rates = []
    for _ in range(steps):
        a = min(c / (c + sigma2), 0.8 * 2.0)
        rates.append(a)
        c = (1.0 - a) ** 2 * c + a * a * sigma2
    best = gf.best_schedule(problem, 1, steps)
    assert best.edge == pytest.approx(gf.max_learning_rate(problem, 0.0, 1))
    capped = max(rates) <= 0.8 * best.edge
    assert capped
    assert best.free_loss == pytest.approx(0.5 * (c + sigma2), rel=1e-6)
    assert np.allclose(best.free_rates, rates, rtol=0.03)


def test_data_are_capped_by_the_smaller_of_two_edges():
    data = gf.data.gaussian(K[:20] ** -1.0, K[:20] ** -1.0, 200, seed=2, noise_variance=0.1)
    best = gf.best_schedule(data, 1, 200)
    edges = [gf.max_learning_rate(data, 0.0, 1, noise=name) for name in ("measured", "fitted")]
    assert best.edge == pytest.approx(min(edges), rel=1e-9)
    assert best.edge_of == ("the data's measured noise" if edges[0] < edges[1] else "the fitted noise")
    assert best.peak <= 0.8 * best.edge * (1.0 + 1e-9)


def test_torch_under_the_exported_function_has_the_rates_and_the_loss():
    torch = pytest.importorskip("torch")
    problem = gf.LinearProblem([1.0, 0.3], [1.0, 2.0])
    # Rates that fall: where they are constant, every convention of momentum is the same.
    method = gf.ScheduledSGD(HoldThenLinear(0.5, 0.3, 30), 0.5)
    best = replace(gf.best_schedule(problem, None, 30, momentum=0.5), method=method)
    lam, w = torch.tensor([1.0, 0.3], dtype=torch.float64), torch.zeros(2, dtype=torch.float64, requires_grad=True)
    goal = torch.sqrt(torch.tensor([1.0, 2.0 / 0.3], dtype=torch.float64))
    optimizer = torch.optim.SGD([w], lr=best.peak, momentum=best.method.momentum)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, best.lambda_lr())
    for _ in range(30):
        optimizer.zero_grad()
        (0.5 * (lam * (w - goal) ** 2).sum()).backward()
        optimizer.step()
        scheduler.step()
    loss = float(0.5 * (lam * (w.detach() - goal) ** 2).sum())
    assert loss == pytest.approx(float(gf.predict(problem, method, 30).loss), rel=1e-9)
    keras = gf.ScheduledSGD(method.learning_rate, 0.5, convention="keras")
    assert loss != pytest.approx(float(gf.predict(problem, keras, 30).loss), rel=1e-2)


def test_the_shape_is_said_in_words():
    assert "of the edge for" in gf.best_schedule(PROBLEM, 1, 500).shape
    full = gf.best_schedule(gf.LinearProblem([1.0, 0.01], [0.1, 1.0]), None, 50)
    assert full.shape == "hold at 0.8 of the edge to the end"


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(ValueError, match="share_of_edge"):
        gf.best_schedule(PROBLEM, 1, 50, share_of_edge=1.5)
    data = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], 20, seed=1)
    with pytest.raises(ValueError, match="best_schedule is derived"):
        gf.best_schedule(data, 1, 50, noise="measured")
    with pytest.raises(ValueError, match="infinite sum"):
        gf.best_schedule(gf.PowerLaw(nu=0.9, zeta=0.5), 1, 50)
    with pytest.raises(ValueError, match="hold must"):
        HoldThenLinear(0.1, 1.2, 10)
