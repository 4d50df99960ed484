"""Every example of the gallery draws its figure, and shows what its text says."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genfun as gf

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "gallery"
NAMES = sorted(path.stem for path in GALLERY.glob("*.py"))


@cache
def figure(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"gallery_{name}", GALLERY / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.__doc__
    return module.draw()


def lines(name: str) -> dict[str, Any]:
    """By label, the x and y of what a plot of lines shows."""
    return {line.get_label(): line.get_data() for line in figure(name).axes[0].lines}


def series(name: str, start: str) -> dict[float, float]:
    """By x, what is drawn under the name that starts so."""
    rows = {row[2]: row[3] for row in gf.plotting.table(figure(name)) if row[1].startswith(start)}
    assert len(rows) > 5
    return rows


def test_the_gallery_has_its_examples():
    assert {"phase_diagram", "settings_map", "loss_parts", "budget_map", "spectrum", "schedules"} <= set(NAMES)
    assert {"fit_steps", "noise_scale", "agreement", "escape_chart"} <= set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short_and_draws_labelled_axes(name: str, tmp_path: Path):
    assert len((GALLERY / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 50
    drawn = figure(name)
    assert all(ax.get_xlabel() for ax in drawn.axes if ax.get_label() != "<colorbar>")
    drawn.savefig(tmp_path / "figure.png", dpi=40)
    assert (tmp_path / "figure.png").stat().st_size > 2000


def test_a_growing_batch_beats_the_constant_setting_but_not_a_constant_batch_of_as_many_samples():
    last = {name: y[-1] for name, (_, y) in lines("schedules").items()}
    growing, constant = last.pop("batch doubled every 1000"), last.pop("constant")
    same_samples = last.pop("constant, batch size 102")
    assert len(last) == 2
    assert same_samples < growing < constant < min(last.values())


@pytest.mark.slow
def test_the_noise_scale_grows_and_a_grown_batch_is_larger():
    scale, grown = (
        lines("noise_scale")[name][1] for name in ("noise scale at batch size 10", "batch size of Big Batch SGD")
    )
    assert np.all(np.diff(scale[: scale.size // 2]) > 0.0)
    assert np.all(grown > scale)


@pytest.mark.slow
def test_the_runs_of_the_gallery_agree_with_their_prediction():
    theory, mean = (series("agreement", start) for start in ("predicted mean", "mean of the runs"))
    ratios = [mean[step] / theory[step] for step in mean]
    # The relative standard error of 32 runs is below 1.5 % at every step; 2 % is left to the noise approximation.
    assert max(abs(ratio - 1.0) for ratio in ratios) < 0.02 + 2.5 * 0.015


def test_the_largest_rate_kept_is_inverse_to_the_sharpness():
    rows = [row for row in gf.plotting.table(figure("escape_chart")) if row[1].startswith("edge")]
    products = np.array([row[2] * row[3] for row in rows])
    assert products.size > 5
    # The rates are a grid of 60 points over two decades.
    assert products.max() / products.min() < 10 ** (2 * 2 / 59)
