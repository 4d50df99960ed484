"""What pictures show and leave out: one scale for maps side by side, hollow points, names that fit."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import genfun as gf


@pytest.mark.slow
def test_maps_side_by_side_have_one_colour_scale_and_one_bar_of_it():
    problem = gf.PowerLaw(1.5, 0.5, n_modes=30)
    panels = gf.plotting.settings_map(problem, 100, [1, 100], cells=6, ax=Figure().subplots(1, 2))
    scales = {ax.collections[0].get_clim() for ax in panels}
    assert len(scales) == 1
    low, high = scales.pop()
    # Both are seen: the least loss is that of the larger batch, and the smaller one's lies inside the scale.
    small, large = (float(ax.collections[0].get_array().min()) for ax in panels)
    assert low == large < small < high
    bars = [ax for ax in panels[0].figure.axes if "loss at step 100" in ax.get_ylabel()]
    assert len(bars) == 1


def phase_point(problem):
    ax = gf.phase(problem, gf.SGD(0.1, batch_size=10)).plot(Figure().subplots())
    drawn = {line.get_label(): line for line in ax.lines}
    return drawn, drawn["this problem"]


def test_a_spectrum_that_is_no_power_law_is_a_hollow_point_with_its_intervals():
    k = np.arange(1, 201.0)
    bent = gf.LinearProblem(1.0 / (k + k**2.2 / 50.0), k**-1.5, n_samples=500)
    assert not gf.fit_power_law(bent).is_power_law
    drawn, point = phase_point(bent)
    assert point.get_markerfacecolor() == "white"
    np.testing.assert_allclose(
        drawn["this problem: interval of zeta"].get_xdata(), gf.fit_power_law(bent).zeta_interval
    )
    _, point = phase_point(gf.PowerLaw(1.5, 0.5, n_modes=300))
    assert point.get_markerfacecolor() == "black"


def test_the_escape_chart_names_a_region_only_where_its_name_fits():
    problem = gf.data.mnist(n=100, seed=0, model="ntk").problem
    rates = np.geomspace(0.1, 10.0, 30)
    wide = gf.escape_chart(problem, rates, [1], sharpness=np.geomspace(0.3, 3.0, 12)).plot(Figure().subplots())
    assert {text.get_text() for text in wide.texts} == {"stable", "escapes", "diverges"}
    thin = gf.escape_chart(problem, rates, [10, 20, 50]).plot(Figure().subplots(), against="batch_size")
    assert {text.get_text() for text in thin.texts} == {"stable", "diverges"}


def test_names_of_regions_stay_inside_the_frame_also_where_a_chart_has_few_cells() -> None:
    chart = gf.escape_chart(gf.PowerLaw(1.5, 0.5, n_modes=20), [0.1, 4.0], [4], sharpness=[1.0, 4.0])
    figure = Figure()
    ax = gf.plotting.escape_chart(chart, figure.subplots())
    figure.draw_without_rendering()
    frame = ax.get_window_extent()
    names = [text.get_window_extent() for text in ax.texts]
    assert len(names) == 2
    assert all(frame.x0 < box.x0 and box.x1 < frame.x1 for box in names)


def test_no_line_is_drawn_about_fewer_cells_than_show_its_shape() -> None:
    problem, rates = gf.PowerLaw(1.5, 0.5, n_modes=20), np.geomspace(0.3, 3.0, 12)
    for momenta, step, expected in (([0.0, 0.9], 200, False), (np.linspace(-0.9, 0.9, 20), 5, True)):
        found = gf.loss_map(problem, rates, momenta, step, 16)
        ax = gf.plotting.loss_map(found, ax=Figure().subplots())
        near = int((found.log_loss <= found.log_loss.min() + np.log(2.0)).sum())
        assert (near >= 6) is expected
        assert ("twice the least loss" in [text.get_text() for text in ax.get_legend().get_texts()]) is expected
