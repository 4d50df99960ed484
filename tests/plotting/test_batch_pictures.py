"""Pictures about batch sizes show the numbers of their results."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure

import genfun as gf
from genfun.plotting import table
from genfun.plotting.style import log_axes


def drawn(ax, name):
    rows = [(x, y) for _, series, x, y, _ in table(ax) if series == name]
    return np.array(rows, dtype=float).T


def test_a_critical_batch_shows_samples_steps_the_least_and_the_formula():
    c = gf.critical_batch_size(gf.PowerLaw(1.5, 0.25), gf.SGD(0.5), loss=0.1)
    ax = c.plot(Figure().subplots())
    b, k = drawn(ax, "samples $K b$")
    np.testing.assert_array_equal(b, c.batch_sizes)
    np.testing.assert_array_equal(k, c.samples)
    assert drawn(ax, "fewest samples")[:, 0] == pytest.approx([c.batch_size, c.samples.min()])
    fine, formula = drawn(ax, "samples, signal-phase formula")
    np.testing.assert_allclose(formula, fine * c.closed_form.steps(fine))


def test_an_unreachable_loss_has_no_picture():
    c = gf.critical_batch_size(gf.LinearProblem([1.0], [1.0], noise_variance=1.0), gf.SGD(0.5), loss=0.1)
    with pytest.raises(ValueError, match=r"no batch size that reaches loss 0\.1"):
        c.plot(Figure().subplots())


def test_big_batch_shows_batches_their_range_and_the_noise_scale():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=50, n_samples=500)
    r = gf.big_batch(problem, gf.SGD(0.5, batch_size=10), [0, 1, 3, 9, 40])
    ax = r.plot(Figure().subplots())
    for name, values in (
        ("batch size, mean over runs", r.batch_size),
        ("5 %", r.low),
        ("95 %", r.high),
        ("noise scale along these runs", r.noise_scale),
    ):
        t, y = drawn(ax, name)
        np.testing.assert_array_equal(t, r.steps + 1)
        np.testing.assert_array_equal(y, values)


def test_fitted_points_show_the_chosen_family_and_its_interval():
    b = 2.0 ** np.arange(2, 10)
    f = gf.fit_steps(b, 1e4 * (1 + 30 / b) ** 2)
    ax = f.plot(Figure().subplots())
    np.testing.assert_array_equal(drawn(ax, "measured")[1], f.batch_sizes * f.steps)
    fine, samples = drawn(ax, f.family)
    np.testing.assert_allclose(samples, fine * f.predict(fine))
    assert drawn(ax, "fewest samples")[0] == pytest.approx(f.batch_size)


@pytest.mark.parametrize("steps", [[100, 0, 1, 10], [[100, 0], [1, 10]]])
def test_the_spread_shows_the_mean_and_the_bands_that_its_quantiles_say(steps):
    problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], noise_variance=0.1)
    found = gf.spread(problem, gf.SGD(0.3, batch_size=2), steps)
    ax = found.plot(Figure().subplots())
    names = {"mean", "median run", "5 %", "95 %", "25 %", "75 %", "label noise"}
    assert {row[1] for row in table(ax)} == names
    order = np.argsort(found.steps, axis=None)[1:]
    for name, share in (("median run", 0.5), ("5 %", 0.05), ("95 %", 0.95), ("25 %", 0.25), ("75 %", 0.75)):
        np.testing.assert_array_equal(drawn(ax, name)[0], [1, 10, 100])
        np.testing.assert_allclose(drawn(ax, name)[1], found.quantile(share).ravel()[order], rtol=1e-14)
    np.testing.assert_allclose(drawn(ax, "mean")[1], found.mean.ravel()[order])
    assert (drawn(ax, "label noise")[1] == 0.05).all()
    assert (drawn(ax, "median run")[1] < drawn(ax, "mean")[1]).all()  # what one run looks like lies below the mean


def test_a_prediction_shows_the_spread_of_its_runs_behind_its_loss():
    problem, method, steps = gf.LinearProblem([1.0, 0.1], [1.0, 1.0]), gf.SGD(0.3, batch_size=2), [3, 30, 100]
    found = gf.spread(problem, method, steps)
    ax = gf.predict(problem, method, steps).plot(Figure().subplots(), band=found)
    for name, share in (("5 %", 0.05), ("95 %", 0.95)):
        np.testing.assert_allclose(drawn(ax, name)[1], found.quantile(share), rtol=1e-14)
    assert ax.get_ylim()[0] < found.quantile(0.05).min()
    assert ax.get_ylim()[1] > found.quantile(0.95).max()
    assert "5 to 95 % of runs" in [text.get_text() for text in ax.get_legend().texts]
    other = gf.spread(problem, gf.SGD(0.1, batch_size=2), steps)
    with pytest.raises(ValueError, match="band must be of the same"):
        gf.predict(problem, method, steps).plot(Figure().subplots(), band=other)


@pytest.mark.other_kinds
def test_a_band_that_is_no_spread_is_refused_by_its_kind():
    found = gf.predict(gf.LinearProblem([1.0, 0.1], [1.0, 1.0]), gf.SGD(0.3, batch_size=2), [3, 30])
    with pytest.raises(TypeError, match="band must be a Spread, got Prediction; pass spread"):
        found.plot(Figure().subplots(), band=found)


def test_a_spread_of_step_0_alone_has_no_picture():
    with pytest.raises(ValueError, match="no step after 0"):
        gf.spread(gf.LinearProblem([1.0], [1.0]), gf.SGD(0.3, batch_size=2), 0).plot()


@pytest.mark.parametrize(
    ("low", "high"), [(14, 600), (30, 560), (2, 9), (0.3, 0.36), (100, 101), (1e-8, 1e5), (1, 300)]
)
def test_labels_of_a_logarithmic_axis_do_not_touch_and_are_two_at_least(low, high):
    figure = Figure(figsize=(4.6, 4.2))
    ax = figure.subplots()
    log_axes(ax, "batch size", "samples")
    ax.plot([low, high], [low, high])
    figure.canvas.draw()
    left, right = ax.get_window_extent().intervalx
    boxes = [label.get_window_extent() for label in ax.xaxis.get_ticklabels(which="both") if label.get_text()]
    boxes = sorted((box for box in boxes if left <= box.x0 + box.width / 2 <= right), key=lambda box: box.x0)
    assert len(boxes) >= 2
    assert all(after.x0 - before.x1 > 4.0 for before, after in itertools.pairwise(boxes))


def test_labels_between_powers_of_ten_are_plain_numbers():
    ax = Figure().subplots()
    log_axes(ax, "batch size", "samples")
    ax.set(xlim=(14, 600), ylim=(1.2e-5, 3.4e-5))
    small, tiny = ax.xaxis.get_minor_formatter(), ax.yaxis.get_minor_formatter()
    assert [small(b) for b in (20.0, 30.0, 50.0, 100.0, 400.0, 500.0)] == ["20", "", "50", "100", "", "500"]
    assert [tiny(loss) for loss in (2e-5, 3e-5)] == ["2×10⁻⁵", "3×10⁻⁵"]
