"""What is decided on the measured noise, against the exact second moments and against runs."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.answers.batch.noise_scale import noise_scale
from genfun.experiments import agree, simulate
from genfun.sample_space.curve import contour
from genfun.sample_space.moments import exact_curve

STEPS = 60


@pytest.fixture(scope="module")
def heavy() -> gf.LinearData:
    """Features of heavy tails, with label noise."""
    rng = np.random.default_rng(4)
    X = rng.standard_t(3, (50, 8)) * np.arange(1, 9) ** -0.5
    return gf.LinearData.from_features(X, X @ rng.standard_normal(8) + rng.standard_normal(50))


def exact_loss(data: gf.LinearData, method: gf.SGD) -> float:
    return float(exact_curve(data, method, np.array([STEPS])).loss.log()[0])


@pytest.mark.slow
@pytest.mark.parametrize("b", [1, 8])
def test_no_setting_of_an_exact_grid_is_two_per_cent_better_than_that_of_optimize(heavy: gf.LinearData, b: int) -> None:
    best = gf.optimize(heavy, batch_size=b, steps=STEPS).method
    here = exact_loss(heavy, best)
    grid = []
    for beta in np.tanh(np.arctanh(best.momentum) + np.linspace(-1.0, 0.8, 7)):
        edge = heavy.exact_noise.edge(heavy.problem, gf.SGD(1.0, float(beta), b))
        grid += [exact_loss(heavy, gf.SGD(share * edge, float(beta), b)) for share in np.geomspace(0.02, 0.98, 14)]
    assert here <= min(grid) + np.log(1.02)
    # A yardstick that sees nothing would pass, too.
    assert max(grid) > here + 0.1
    assert exact_loss(heavy, gf.SGD(0.4 * best.learning_rate, best.momentum, b)) > here + np.log(1.02)


@pytest.mark.parametrize(("beta", "b"), [(-0.4, 1), (0.8, 8)])
def test_the_mean_of_four_hundred_runs_is_as_predicted(heavy: gf.LinearData, beta: float, b: int) -> None:
    method = gf.SGD(0.7 * gf.max_learning_rate(heavy, beta, b), beta, b)
    runs = simulate(heavy, method, steps=STEPS, replicas=400, seed=0, record=[5, 20, STEPS])
    found = agree(gf.predict(heavy, method, runs.steps), runs, relative=0.02)
    off = np.abs(found.mean - found.theory)
    assert (off <= 0.02 * found.theory + 2.5 * found.sem).all()
    assert (found.sem < 0.1 * found.theory).all()


@pytest.mark.parametrize(("beta", "b"), [(-0.4, 1), (0.9, 8)])
def test_the_exact_noise_at_late_steps_is_the_recursion(heavy: gf.LinearData, beta: float, b: int) -> None:
    method = gf.SGD(0.7 * heavy.exact_noise.edge(heavy.problem, gf.SGD(1.0, beta, b)), beta, b)
    late = np.array([1_000, 4_000])
    found = contour(heavy.exact_noise.transform(heavy.problem, method), late).loss
    assert found.relative_difference(exact_curve(heavy, method, late).loss).max() < 1e-6


ANSWERS = {
    "predict": lambda d, m: gf.predict(d, m, 20).loss,
    "optimize": lambda d, m: gf.optimize(d, 5, 20, momentum=0.5).loss,
    "stability": lambda d, m: gf.stability(d, m).floor,
    "leave_one_out": lambda d, m: gf.leave_one_out(d, m, 20).loss,
    "best_schedule": lambda d, m: gf.best_schedule(d, 5, 20).loss,
}


@pytest.fixture(scope="module")
def scaled() -> dict[float, gf.LinearData]:
    """The same table with targets in three units, the first of which leaves zeros."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((40, 6)), rng.standard_normal(40)
    return {unit: gf.LinearData.from_features(X, unit * y) for unit in (0.0, 2.0**-332, 1.0)}


@pytest.mark.parametrize("name", ANSWERS)
def test_tiny_targets_give_the_answer_in_their_unit_and_zeros_a_loss_of_zero(
    scaled: dict[float, gf.LinearData], name: str
) -> None:
    none, tiny, one = (float(ANSWERS[name](data, gf.SGD(0.1, 0.5, 5))) for data in scaled.values())
    assert none == 0.0 < one
    # Of a power of 2: nothing is rounded anew, but searches may end elsewhere within their tolerance.
    assert tiny == pytest.approx(one * 2.0**-664, rel=1e-6)


def test_zeros_are_explained_and_have_no_finite_noise_scale(scaled: dict[float, gf.LinearData]) -> None:
    m = gf.SGD(0.1, 0.5, 5)
    assert "converges" in str(gf.explain(scaled[0.0], m, 20))
    assert noise_scale(scaled[0.0], m, [0, 10]).status == "infinite"
    assert "1 times" in repr(gf.best_schedule(scaled[0.0], 5, 20))
