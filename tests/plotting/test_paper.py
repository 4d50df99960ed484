"""Pictures for print: a column wide, the letters of a paper, and nothing over anything else."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import run
from matplotlib import rcParams
from matplotlib.figure import Figure

from genfun.plotting import save
from genfun.plotting.agreement import mean_with_errors
from genfun.plotting.paper import for_paper
from genfun.plotting.style import label_powers, legend_below, line, log_axes, panels

X = np.array([1.0, 10.0, 100.0])


def one_panel():
    ax = Figure(figsize=(5.6, 4.4), layout="constrained").subplots()
    handles = [line(ax, f"a name that is rather long, {i}", X, 1e-3 / X, linewidth=2.0) for i in range(4)]
    handles.append(mean_with_errors(ax, X, 1e-3 / X, 1e-4 / X, 2.5))
    log_axes(ax, "step", "loss")
    legend_below(ax, handles, 2)
    return ax


def test_a_picture_is_a_column_wide_and_its_legend_lies_inside_below_the_label():
    with for_paper(one_panel) as ax:
        figure, legend = ax.figure, ax.get_legend()
        np.testing.assert_allclose(figure.get_size_inches(), (3.4, 3.4 * 4.4 / 5.6))
        figure.draw_without_rendering()
        box = legend.get_window_extent()
        assert box.width <= figure.bbox.width
        assert box.y1 < ax.xaxis.label.get_window_extent().y0
        assert ax.xaxis.label.get_fontsize() == 8.0
        assert ax.lines[0].get_linewidth() == pytest.approx(1.4)
    assert rcParams["font.size"] != 8.0  # what comes after is as before


def test_panels_are_as_wide_as_the_page():
    with for_paper(lambda: panels(2)[0]) as figure:
        assert figure.get_size_inches()[0] == 7.0


@pytest.mark.slow
def test_letters_are_type_42_of_one_family_and_none_is_missing(tmp_path):
    with for_paper(one_panel) as ax:  # a letter that is missing warns, and warnings are errors
        raw = save(ax, tmp_path / "a.pdf")[0].read_bytes()
    assert b"STIXGeneral" in raw
    assert b"CIDFontType2" in raw
    assert b"Type3" not in raw


def test_powers_are_formulas_in_print():
    def labels():
        ax = Figure().subplots()
        ax.set(xscale="log", xlim=(1.0, 1e5))
        label_powers(ax.xaxis)
        return ax

    assert labels().xaxis.get_major_formatter()(1e3) == "10³"
    with for_paper(labels) as ax:
        assert ax.xaxis.get_major_formatter()(1e3) == r"$\mathdefault{10^{3}}$"


def test_the_style_goes_with_a_picture_alone(tmp_path):
    words = ("stability", "power-law", "--n-modes", 20, "--batch-size", 5, "--learning-rate", 0.1, "--style", "paper")
    assert "--style is that of a picture; give --out with .png, .svg, .pdf" in run(*words, code=2).stderr
    assert "--style is that" in run(*words, "--out", tmp_path / "a.csv", code=2).stderr
    run(*words, "--out", tmp_path / "a.svg")
    assert 'width="244.8pt"' in (tmp_path / "a.svg").read_text()
