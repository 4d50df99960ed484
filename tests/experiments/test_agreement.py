"""What runs say about a prediction: agreement, rare runs that carry a mean, quantiles, and the picture."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.lines import Line2D
from problems import features

import genfun as gf
from genfun.data import gaussian
from genfun.experiments import Runs, agree, simulate
from genfun.experiments.agreement.agree import Agreement
from genfun.experiments.agreement.check_theory import check_theory
from genfun.plotting.agreement import agreement_panels


def runs_of(losses) -> Runs:
    array = np.array(losses, dtype=float)[:, None]
    return Runs(np.array([5]), array, gf.SGD(0.1), 0)


def test_a_mean_carried_by_rare_runs_is_counted_and_said():
    even = runs_of([2.0] * 40)
    assert even.effective_runs == pytest.approx(40.0)
    assert even.heaviest == pytest.approx(1 / 40)
    assert not even.carried_by_few.any()
    assert "carries" not in repr(even)
    one = runs_of([1.0] * 39 + [961.0])
    assert one.heaviest == pytest.approx(0.961)
    assert one.effective_runs == pytest.approx(1000.0**2 / (961.0**2 + 39))
    assert one.carried_by_few.all()
    assert "largest run carries 96 %" in repr(one)
    with np.errstate(all="raise"):
        overflowed = runs_of([1.0] * 39 + [np.inf])
        assert (overflowed.effective_runs, overflowed.heaviest) == (1.0, 1.0)
        assert runs_of([0.0] * 40).effective_runs == 40.0


def test_quantiles_bracket_the_runs():
    runs = runs_of([4.0, 1.0, 3.0, 2.0, np.inf])
    np.testing.assert_array_equal(runs.quantiles([0.0, 0.5, 0.6, 1.0])[:, 0], [1.0, 3.0, 3.4, np.inf])
    np.testing.assert_array_equal(runs.quantiles([0.5])[0], runs.median)
    with pytest.raises(ValueError, match="q must lie in"):
        runs.quantiles([50.0])


def test_a_mean_carried_by_rare_runs_decides_nothing():
    data, m = features(20, 1), gf.SGD(0.1)
    theory = gf.predict(data.problem, m, [5])
    even = np.full((4000, 1), theory.loss[0]) * np.linspace(0.9, 1.1, 4000)[:, None]
    few = np.where(np.arange(4000)[:, None] < 200, 20 * theory.loss[0], 0.0)
    assert agree(theory, Runs(np.array([5]), even, m, 0)).verdict == ("agrees",)
    # The mean is as predicted, its standard error 7 %, and 200 of 4000 runs carry it.
    found = agree(theory, Runs(np.array([5]), few, m, 0))
    assert found.effective_runs == pytest.approx(200.0)
    assert found.z[0] == pytest.approx(0.0, abs=1e-6)
    assert found.verdict == ("undecided",)
    assert "at 1 steps (first 5, last 5) the mean is carried by few runs" in found.table()
    assert "carried by few runs at 1 steps" in repr(found)


def test_a_median_above_twice_the_predicted_mean_refutes_it_however_few_runs_carry_their_mean():
    """Markov: half of all losses cannot lie above twice their mean; here nine tenths of the mean are in one run."""
    method, steps = gf.SGD(0.1), np.array([1])
    losses = np.r_[np.full(63, 5.0), 3000.0][:, None]
    for theory, word in ((1.0, "differs"), (4.0, "undecided")):
        found = Agreement(steps, np.array([theory]), losses.mean(0), losses.std(0), np.median(losses, 0), 0.02, 2.5,
                          Runs(steps, losses, method, 0))  # fmt: skip
        assert found.carried_by_few[0]
        assert found.verdict == (word,)


def test_three_runs_above_twice_the_mean_are_no_refutation():
    """By chance at one in eight where half of all runs lie there."""
    steps, losses = np.array([1]), np.array([[2.5], [2.5], [2.6]])
    mean = np.array([1.0])
    found = Agreement(steps, mean, 2.5 * mean, 9.0 * mean, 2.5 * mean, 0.02, 2.5, Runs(steps, losses, gf.SGD(0.1), 0))
    assert found.verdict == ("undecided",)


def test_the_theory_is_checked_with_the_noise_of_the_data_unless_another_is_given():
    data = gaussian([1.0, 0.5, 0.2, 0.1], [0.5, 0.3, 0.3, 0.2], 24, seed=1, noise_variance=0.1)
    found = check_theory(data, batch_sizes=[1], momenta=[0.0], shares=[0.5], steps=5, replicas=4)
    assert found.methods[0].learning_rate == 0.5 * gf.max_learning_rate(data, 0.0, 1)
    fitted = check_theory(data, "fitted", batch_sizes=[1], momenta=[0.0], shares=[0.5], steps=5, replicas=4)
    assert fitted.methods[0].learning_rate == 0.5 * gf.max_learning_rate(data, 0.0, 1, noise="fitted")
    assert fitted.methods != found.methods
    (legend,) = agreement_panels(found).legends
    assert "o" in [line.get_marker() for line in legend.findobj(Line2D)], "the means have no mark in the legend"


def test_the_overlay_shows_theory_mean_errors_median_and_band():
    from matplotlib.figure import Figure

    from genfun.plotting._table import table

    data, m = features(20, 1), gf.SGD(0.1, 0.5, 3)
    runs = simulate(data, m, 60, 40)
    found = agree(gf.predict(data.problem, m, runs.steps), runs)
    ax = found.plot(Figure().subplots())
    series = {row[1] for row in table(ax)}
    assert series >= {"predicted mean", "median of the runs", "middle 90 % of the runs"}
    bars = next(c for c in ax.containers)
    steps, means = bars.lines[0].get_data()
    np.testing.assert_allclose(means, runs.at(steps.astype(int)).mean, rtol=1e-14)
    assert 5 < steps.size <= 14
    # Divergence to inf is drawn, too, up to where the picture ends.
    wild = simulate(data, gf.SGD(50.0, 0.5, 3), 500, 4)
    figure = Figure()
    agree(gf.predict(data.problem, wild.method, wild.steps), wild).plot(figure.subplots())
    figure.canvas.draw()
    with pytest.raises(ValueError, match="no step beside 0"):
        agree(gf.predict(data.problem, m, [0]), runs).plot()
