"""Pictures draw on the axes given, label everything, and keep legends off the lines."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import genfun as gf
from genfun.answers import predict
from genfun.answers.exponents.fit import fit_power_law
from genfun.plotting import loss_curves, spectrum
from genfun.plotting.parts import split as split_parts


def _axes():
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    return figure, figure.subplots()


def _predictions():
    p = gf.PowerLaw(1.5, 0.5)
    return [predict(p, gf.SGD(rate, batch_size=b), [0, 1, 10, 100]) for b in (1, 10) for rate in (0.1, 0.2)]


def _texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_spectrum_draws_on_the_axes_given_and_returns_them():
    p = gf.PowerLaw(1.5, 0.5, 4.0, 3.0, n_modes=100)
    _, ax = _axes()
    assert spectrum(p, fit_power_law(p), ax) is ax
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    eigenvalues, tails, nu_line, zeta_line = ax.lines
    # A fitted line must lie on the points it was fitted to, in the units of the picture.
    np.testing.assert_allclose(nu_line.get_ydata(), eigenvalues.get_ydata()[[0, -1]], rtol=1e-12)
    np.testing.assert_allclose(zeta_line.get_ydata(), tails.get_ydata()[[0, -1]], rtol=1e-12)


def test_a_spectrum_without_signal_or_exponents_is_drawn_all_the_same():
    p = gf.LinearProblem([1.0], [0.0])
    figure, ax = _axes()
    spectrum(p, fit_power_law(p), ax)
    figure.draw_without_rendering()
    assert len(ax.lines) == 2


def test_curves_of_one_label_share_a_colour_and_of_one_kind_a_dash():
    _, ax = _axes()
    loss_curves(_predictions(), ["b = 1", "b = 1", "b = 10", "b = 10"], ["slow", "fast"] * 2, ax)
    a, b, c, d = ax.lines
    assert a.get_color() == b.get_color() != c.get_color() == d.get_color()
    assert a.get_linestyle() == c.get_linestyle() != b.get_linestyle() == d.get_linestyle()
    assert _texts(ax) == ["b = 1", "b = 10", "slow", "fast"]


def test_step_zero_and_losses_that_cannot_be_drawn_are_left_out():
    unstable = predict(gf.LinearProblem([1.0], [1.0]), gf.SGD(5.0, batch_size=1), [0, 1, 10, 10_000])
    dead = predict(gf.LinearProblem([1.0], [1.0]), gf.SGD(0.9), [0, 1, 10, 10_000])
    figure, ax = _axes()
    loss_curves([unstable, dead], ax=ax)
    figure.draw_without_rendering()
    for line in ax.lines:
        assert (line.get_xdata() > 0).all()
        assert np.isfinite(line.get_ydata()).all()
    low, high = ax.get_ylim()
    assert low >= 0.5 * 0.5e-12
    assert high <= 2.0 * 100 * 0.5


@pytest.mark.parametrize(
    "draw", [lambda ax: spectrum(gf.PowerLaw(1.5, 0.5), ax=ax), lambda ax: loss_curves(_predictions(), ax=ax)]
)
def test_the_legend_covers_neither_lines_nor_labels(draw):
    figure, ax = _axes()
    draw(ax)
    figure.draw_without_rendering()
    legend = ax.get_legend().get_window_extent()
    assert not legend.overlaps(ax.get_window_extent())
    assert not legend.overlaps(ax.xaxis.label.get_window_extent())
    assert figure.bbox.x0 <= legend.x0
    assert legend.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= legend.y0


def test_colours_are_told_apart_by_colour_blind_readers():
    from genfun.plotting.style import COLOURS

    okabe_ito = {"#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}
    assert set(COLOURS) <= okabe_ito


def test_a_new_figure_is_made_where_none_is_given():
    import matplotlib.pyplot as plt

    ax = loss_curves(_predictions())
    plt.close(ax.figure)
    assert len(ax.lines) == 4


@pytest.mark.parametrize(("curves", "labels"), [([], None), (_predictions(), ["one"])])
def test_missing_curves_or_labels_are_refused(curves, labels):
    with pytest.raises(ValueError, match=r"curves is empty|one entry for each"):
        loss_curves(curves, labels)


@pytest.mark.parametrize("noise_variance", [0.0, 0.1])
def test_a_prediction_of_averaged_weights_or_in_epochs_is_drawn_beside_the_same_with_full_batches(
    noise_variance: float,
) -> None:
    problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], n_samples=60, noise_variance=noise_variance)
    steps, plain = [1, 3, 10, 40], gf.SGD(0.3, batch_size=2)
    full = gf.SGD(0.3)
    for method, quiet in (
        (gf.Averaged(plain, "tail", start=5), gf.Averaged(full, "tail", start=5)),
        (gf.SGD(0.3, batch_size=2, sampling="epochs"), full),
    ):
        parts = split_parts(gf.predict(problem, method, steps))
        np.testing.assert_array_equal(parts.quiet, gf.predict(problem, quiet, steps).loss)
        assert parts.regime is None, "its marks are those of fresh batches and the last weights"
        drawn = gf.predict(problem, method, steps).plot(Figure().subplots())
        assert "predicted loss" in drawn.get_legend_handles_labels()[1]
