"""Schedules: their values, the recursion under them, and the answers that take them."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest

import genfun as gf
from genfun.answers.steps_to_loss import steps_to_loss
from genfun.engine import scheduled
from genfun.engine.adjoint import RateGradient
from genfun.engine.recursion import Recursion
from genfun.noise import sampling_factor
from genfun.schedules import (
    Cosine,
    ExponentialGrowth,
    LinearGrowth,
    Piecewise,
    Polynomial,
    ScheduledSGD,
    StepDecay,
    Warmup,
    jacobi_heavy_ball,
    kernel,
)

MODES = np.arange(1.0, 1201.0)
STEPS = 600


def plain(problem: Any, method: ScheduledSGD, noise: Any, last: int) -> np.ndarray:
    """The textbook loop over all modes, in extended precision; nothing of the package but the sampling factor."""
    lam = problem.eigenvalues.astype(np.longdouble)
    c = problem.signal / lam
    j, p = 0 * c, 0 * c
    rates, momenta, sizes = method.at(np.arange(last))
    losses = []
    for t in range(last + 1):
        losses.append(0.5 * float((lam * c).sum() + problem.noise_variance))
        if t == last:
            return np.array(losses)
        size = None if sizes is None else int(sizes[t])
        gamma = sampling_factor(size, problem.n_samples, method.replacement)
        # Torch's buffer m = -v, which takes whole gradients and moves by the rate; Keras' velocity takes alpha g.
        whole = 1.0 if t == 0 else 1.0 - method.dampening
        push, move = (rates[t], 1.0) if method.convention == "keras" else (whole, rates[t])
        beta, a = momenta[t], push * lam
        drive = noise.tau1 * lam * (lam * c).sum() - noise.tau2 * lam**2 * c + lam * problem.noise_variance
        p = a**2 * c - 2 * a * beta * j + beta**2 * p + gamma * push**2 * drive
        crossed = beta * j - a * c
        c, j = c + 2 * move * crossed + move**2 * p, crossed + move * p


SCHEDULES = {
    "polynomial": ScheduledSGD(Polynomial(0.5, 0.5, period=20), 0.5, 10),
    "step decay, negative momentum": ScheduledSGD(StepDecay(0.4, 0.3, period=200), -0.6, 4),
    "warm-up and cosine, heavy ball": ScheduledSGD(Warmup(50, then=Cosine(0.1, STEPS)), 0.9, 8),
    "the same of Keras": ScheduledSGD(Warmup(50, then=Cosine(0.1, STEPS)), 0.9, 8, convention="keras"),
    "step decay of Keras": ScheduledSGD(StepDecay(0.4, 0.3, period=200), -0.6, 4, convention="keras"),
    "dampening": ScheduledSGD(StepDecay(0.4, 0.3, period=200), 0.9, 4, dampening=0.5),
    "steps of no rate": ScheduledSGD(Piecewise((0.0, 0.2, 0.0, 0.1), (5, 100, 110)), 0.9, 4),
    "batch growth to the full batch": ScheduledSGD(0.3, 0.8, ExponentialGrowth(1, 2.0, 50, limit=1300)),
    "linear growth, with replacement": ScheduledSGD(0.3, Piecewise((0.0, 0.7), (300,)), LinearGrowth(2, 0.5), True),
    "Jacobi": jacobi_heavy_ball(0.5, 1.0),
    "a function": ScheduledSGD(lambda k: 0.1 * (1.0 + np.sin(k / 7.0)), 0.9, 10),
    "an array, diverging": ScheduledSGD(np.linspace(0.1, 3.0, STEPS), 0.0, 2),
}


@cache
def looped(name: str) -> tuple[Any, Any, np.ndarray]:
    """A problem and a noise model for the schedule, and its losses by the plain loop."""
    method = SCHEDULES[name]
    sigma2 = 0.01 if method.replacement else 0.0
    noise = gf.SpectrallyExpressible(1.0, -1.0 if "cosine" in name else 1.0)
    problem = gf.LinearProblem(MODES**-1.5, MODES**-1.75, n_samples=1300, noise_variance=sigma2)
    return problem, noise, plain(problem, method, noise, STEPS)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_prediction_is_the_plain_loop_over_all_modes(name, compressed, monkeypatch):
    method = SCHEDULES[name]
    problem, noise, expected = looped(name)
    if compressed:
        monkeypatch.setattr(scheduled, "FULL_WORK", 0.0)
    found = gf.predict(problem, method, np.arange(STEPS + 1), noise)
    difference = np.abs(found.loss / expected - 1.0)
    assert difference.max() < 1e-10
    # The estimate is of rounding; the nodes are good to 1e-12.
    assert (difference <= found.error + 1e-12).all()


@pytest.mark.parametrize("beta", [0.0, 0.95, -0.7])
def test_constant_schedules_are_the_reference_recursion(beta):
    problem, noise = gf.PowerLaw(1.5, 0.5, n_modes=200, noise_variance=0.1), gf.SpectrallyExpressible(1.0, 0.0)
    setting = gf.SGD(0.1, beta, 5)
    run = Recursion(problem, [setting], noise)
    mantissa, exponent = run.run(500)
    found = gf.predict(problem, ScheduledSGD(0.1, beta, 5), np.arange(501), noise)
    np.testing.assert_allclose(found.loss, np.ldexp(mantissa[0], exponent[0]), rtol=1e-12)
    assert found.status == "ok"
    assert found.loss[-1] == pytest.approx(float(gf.predict(problem, setting, 500, noise).loss), rel=1e-10)


def test_losses_beyond_the_range_of_doubles_keep_their_logarithm():
    problem = gf.LinearProblem([1.0], [1.0])
    # Full batch, a = 0.5: the loss is 0.25^t / 2. Then a = 3: it grows as 4^t.
    down = gf.predict(problem, ScheduledSGD(Piecewise((0.5, 3.0), (1000,))), [1000, 2000, 3000])
    expected = np.log(0.5) + np.array([-1000.0, 0.0, 1000.0]) * np.log(4.0)
    np.testing.assert_allclose(down.log_loss, expected, atol=1e-9)
    assert down.loss.tolist()[0] == 0.0
    assert down.loss.tolist()[2] == math.inf
    assert down.status == "diverges"


@pytest.mark.parametrize(("last", "status"), [(1e3, "ok"), (1e4, "diverges")])
def test_a_schedule_diverges_where_its_last_loss_is_a_million_times_the_first(last, status):
    # A step of the full batch multiplies the loss by (1 - rate)^2.
    found = gf.predict(gf.LinearProblem([1.0], [1.0]), gf.ScheduledSGD([0.1, last]), [0, 1, 2])
    assert (found.loss[-1] > 1e6 * found.loss[0]) == (status == "diverges")
    assert found.status == status


@pytest.mark.slow
def test_compiled_and_plain_kernels_agree():
    if kernel.compiled() is None:
        pytest.skip("numba is not installed")
    lam = np.geomspace(1.0, 1e-5, 60)
    for sigma2 in (0.0, 0.1):
        result = []
        for advance in (kernel.advance, kernel.compiled()):
            state = np.zeros((3, 60))
            state[0] = lam
            steps = np.arange(400.0)
            rates, momenta, gammas = 0.5 / (1.0 + steps / 50.0), np.cos(steps) * 0.9, np.full(400, 0.05)
            gammas[200:] = 0.0
            out, pace = (np.empty(400), np.zeros(400, dtype=np.int64)), (rates, 1.0 + 0.3 * np.sin(steps))
            scale = advance(state, lam, lam**2, pace, momenta, gammas, (1.0, -1.0, sigma2), 0, out)
            result.append((out[0], out[1], state, np.array(scale)))
        for one, other in zip(*result, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-300)


def test_arrays_of_every_kind_share_one_compiled_loop():
    pytest.importorskip("numba")
    loop, rates = kernel.compiled(), np.full(40, 0.1)
    rates.setflags(write=False)
    for method in (
        ScheduledSGD(0.1, 0.0, 10),
        ScheduledSGD(rates, 0.5, 10),
        ScheduledSGD(rates, -rates, np.arange(1, 41)),
    ):
        gf.predict(gf.PowerLaw(1.5, 0.5, n_modes=50), method, 30)
    coarse = RateGradient(gf.PowerLaw(1.5, 0.5), gf.SpectrallyExpressible(), 0.0, 0.1, 40_000, 0.5)
    assert coarse.coarser() is not coarse
    coarse.excess(np.full(40_000, 0.5))
    assert len(loop.signatures) == 1


def test_the_answer_does_not_depend_on_numba(monkeypatch):
    problem, method = gf.PowerLaw(1.5, 0.5, n_modes=50), ScheduledSGD(Cosine(0.3, 300), 0.5, 4)
    expected = float(gf.predict(problem, method, 300).loss)
    monkeypatch.setattr(kernel.importlib.util, "find_spec", lambda name: None)
    kernel.compiled.cache_clear()
    assert kernel.kernel(10**9) is kernel.advance
    assert float(gf.predict(problem, method, 300).loss) == pytest.approx(expected, rel=1e-12)
    kernel.compiled.cache_clear()


@pytest.mark.parametrize("dampening", [0.0, 0.4])
@pytest.mark.parametrize("beta", [0.9, 0.5, 0.0])
@pytest.mark.parametrize(
    "rate",
    [StepDecay(0.3, 0.1, 20), Warmup(10, Cosine(0.3, 50)), Piecewise((0.0, 0.2, 0.0, 0.3), (3, 20, 25))],
    ids=["step decay", "warm-up and cosine", "steps of no rate"],
)
def test_the_default_momentum_is_that_of_torch_under_a_scheduler(rate, beta, dampening):
    torch = pytest.importorskip("torch")
    lam, start, steps = np.array([1.0, 0.3, 0.01]), np.array([1.0, -2.0, 3.0]), np.arange(61)
    rates = rate(steps)
    w = torch.nn.Parameter(torch.tensor(start))
    optimizer = torch.optim.SGD([w], lr=1.0, momentum=beta, dampening=dampening)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: float(rates[min(k, 60)]))
    expected = []
    for _ in steps:
        optimizer.zero_grad()
        loss = (torch.tensor(lam) * w**2).sum() / 2.0
        expected.append(loss.item())
        loss.backward()
        optimizer.step()
        scheduler.step()
    problem = gf.LinearProblem(lam, lam * start**2)
    method = ScheduledSGD(rate, beta, dampening=dampening)
    np.testing.assert_allclose(gf.predict(problem, method, steps).loss, expected, rtol=1e-12)


def test_momentum_of_keras_keeps_the_rates_of_the_past():
    # v = 0.5 v - a_t g, w + v: 1 -> 0.5 -> 0.5 + (-0.25 - 0.05); torch: m = 1, then 0.5 + 0.5, times 0.1.
    problem, rate = gf.LinearProblem([1.0], [2.0]), Piecewise((0.5, 0.1), (1,))
    keras = gf.predict(problem, ScheduledSGD(rate, 0.5, convention="keras"), [0, 1, 2]).loss
    np.testing.assert_allclose(keras, [1.0, 0.25, 0.04], rtol=1e-14)
    np.testing.assert_allclose(gf.predict(problem, ScheduledSGD(rate, 0.5), 2).loss, 0.16, rtol=1e-14)


@pytest.mark.parametrize("beta", [0.9, -0.6])
def test_torchs_momentum_is_kerass_with_the_ratio_of_the_rates(beta):
    problem, noise = gf.PowerLaw(1.5, 0.5, n_modes=60, noise_variance=0.1), gf.SpectrallyExpressible(1.0, -1.0)
    rates = Cosine(0.2, 300, 0.02)(np.arange(300))
    momenta = beta * rates / np.concatenate([rates[:1], rates[:-1]])
    one = gf.predict(problem, ScheduledSGD(rates, beta, 4), np.arange(301), noise)
    other = gf.predict(problem, ScheduledSGD(rates, momenta, 4, convention="keras"), np.arange(301), noise)
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-12)


def test_jacobi_schedules_double_the_exponent():
    steps = np.array([300, 1000])
    for zeta in (0.5, 1.0):
        loss = gf.predict(gf.PowerLaw(1.5, zeta), jacobi_heavy_ball(zeta, 1.0), steps).loss
        assert -np.diff(np.log(loss)) / np.diff(np.log(steps)) == pytest.approx(2.0 * zeta, rel=0.01)
        loss = gf.predict(gf.PowerLaw(1.5, zeta), gf.SGD(1.0), steps).loss
        assert -np.diff(np.log(loss)) / np.diff(np.log(steps)) == pytest.approx(zeta, rel=0.01)


def test_jacobi_coefficients_are_those_of_the_polynomials():
    from scipy.special import eval_jacobi

    problem, zeta = gf.LinearProblem([0.37], [2.0]), 0.8
    loss = gf.predict(problem, jacobi_heavy_ball(zeta, 1.5, b=-0.2), np.arange(8)).loss
    n = np.arange(8)
    q = eval_jacobi(n, zeta, -0.2, 1.0 - 2.0 * 0.37 / 1.5) / eval_jacobi(n, zeta, -0.2, 1.0)
    np.testing.assert_allclose(loss, q**2, rtol=1e-11)


@pytest.mark.slow
def test_first_step_at_a_loss_under_a_schedule():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=300)
    method = ScheduledSGD(StepDecay(0.3, 0.5, period=2000), 0.5, 4)
    loss = gf.predict(problem, method, np.arange(6001)).loss
    for target in (0.4, float(loss[5000]), float(loss[4097]) * (1 + 1e-9)):
        assert steps_to_loss(problem, method, target) == np.flatnonzero(loss <= target * (1 + 1e-11))[0]
    assert steps_to_loss(problem, method, 1.0) == 0.0
    assert steps_to_loss(problem, ScheduledSGD(np.full(100, 0.3), 0.0, 4), float(loss[5000])) == math.inf
    assert steps_to_loss(problem, ScheduledSGD(lambda k: 1.0 + 0.0 * k, 0.5, 1), 1e-3) == math.inf  # diverges


def test_arrays_are_known_up_to_their_end():
    method = ScheduledSGD([0.1, 0.2, 0.3])
    problem = gf.LinearProblem([1.0], [2.0])
    assert method.length == 3
    assert float(gf.predict(problem, method, 3).loss) == pytest.approx((0.9 * 0.8 * 0.7) ** 2, rel=1e-14)
    with pytest.raises(ValueError, match="learning_rate must reach as far as the steps asked for: got 3 entries"):
        gf.predict(problem, method, 4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"learning_rate": -0.1}, ValueError, "learning_rate must be positive"),
        ({"learning_rate": "0.1"}, TypeError, "learning_rate"),
        ({"learning_rate": lambda k: 0.1 - 0.01 * k}, ValueError, r"learning_rate .* got -0.00\d+ at step 11"),
        ({"learning_rate": lambda k: math.sqrt(k)}, TypeError, "learning_rate must take an integer array"),
        ({"learning_rate": lambda k: np.ones(3)}, ValueError, "one value a step, got shape"),
        ({"learning_rate": lambda k: 1.0 / (k - 5.0) ** 0 + np.where(k == 5, np.nan, 0)}, ValueError, "at step 5"),
        ({"learning_rate": 0.1, "momentum": 1.0}, ValueError, "momentum"),
        ({"learning_rate": 0.1, "momentum": lambda k: 0.1 * k}, ValueError, "momentum .* got 1.0 at step 10"),
        ({"learning_rate": 0.1, "batch_size": 0}, ValueError, "batch_size"),
        ({"learning_rate": 0.1, "batch_size": 11}, ValueError, "batch_size must be at most n_samples=10"),
        ({"learning_rate": 0.1, "batch_size": ExponentialGrowth(1, 2.0)}, ValueError, "at most n_samples=10"),
        ({"learning_rate": 0.1, "batch_size": StepDecay(8, 0.1, 3)}, ValueError, "batch_size .* got 0.0 at step 6"),
        ({"learning_rate": 0.1, "replacement": 1}, TypeError, "replacement"),
        ({"learning_rate": 0.1, "momentum": 0.5, "dampening": 1.0}, ValueError, "dampening must be below 1"),
        ({"learning_rate": 0.1, "momentum": 0.5, "dampening": -0.1}, ValueError, "dampening must be zero or positive"),
        ({"learning_rate": 0.1, "dampening": 0.1, "convention": "keras"}, ValueError, "dampening=0.1 is torch's"),
        (
            {"learning_rate": 0.1, "momentum": lambda k: 0.05 * k, "dampening": 0.1},
            ValueError,
            "must not be 0 .* step 0",
        ),
        pytest.param(
            {"learning_rate": 0.1, "convention": "jax"},
            ValueError,
            "convention must be one of 'torch', 'keras', got 'jax'",
            marks=pytest.mark.other_kinds,
        ),
    ],
)
def test_bad_schedules_are_refused_with_the_step(arguments, error, message):
    with pytest.raises(error, match=message):
        gf.predict(gf.LinearProblem([1.0], [1.0], n_samples=10), ScheduledSGD(**arguments), 20)


def test_ways_for_constant_settings_are_refused():
    with pytest.raises(ValueError, match="needs constant hyperparameters"):
        gf.predict(gf.data.mnist(30), ScheduledSGD(0.1), 5, route="contour")


def test_bad_families_are_refused():
    with pytest.raises(ValueError, match="boundaries must ascend"):
        Piecewise((1.0, 2.0, 3.0), (5, 5))
    with pytest.raises(ValueError, match="values must be one more"):
        Piecewise((1.0,), (5,))
    with pytest.raises(ValueError, match="factor must be at least 1"):
        ExponentialGrowth(4, 0.5)
    with pytest.raises(ValueError, match="power"):
        Polynomial(1.0, -0.5)
    with pytest.raises(ValueError, match="b must be above -1"):
        jacobi_heavy_ball(0.5, 1.0, b=-1.0)
