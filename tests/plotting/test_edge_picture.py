"""The picture of a setting's stability, and pictures fit for a paper."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import genfun as gf
from genfun.plotting import save, table
from genfun.plotting.stability_edge import stability_edge

PROBLEM = gf.PowerLaw(1.5, 0.5, n_modes=30, n_samples=100)
NOISE = gf.SpectrallyExpressible(1.0, -1.0)


def drawn(method):
    rows = table(stability_edge(PROBLEM, method, NOISE, Figure().subplots()))
    return {name: np.array([(x, y) for _, series, x, y, _ in rows if series == name]) for name in {r[1] for r in rows}}


@pytest.mark.parametrize("momentum", [-0.5, 0.0, 0.9])
def test_the_noise_gain_is_one_at_the_largest_stable_rate_and_the_setting_lies_on_it(momentum):
    edge = gf.max_learning_rate(PROBLEM, momentum, 2, NOISE)
    found = drawn(gf.SGD(0.6 * edge, momentum, 2))
    assert found["largest stable rate"][:, 0] == pytest.approx(edge)
    gains = found["noise gain"]
    assert np.interp(edge, *gains.T) == pytest.approx(1.0, abs=1e-9)
    gain = gf.stability(PROBLEM, gf.SGD(0.6 * edge, momentum, 2), NOISE).noise_gain
    assert found["this setting"][0] == pytest.approx([0.6 * edge, gain])


def test_without_batch_noise_curvature_is_the_edge():
    found = drawn(gf.SGD(1.0, 0.5))
    assert found["limit of curvature, $2(1+\\beta)/\\lambda_{max}$"][0, 0] == pytest.approx(3.0)
    assert found["largest stable rate"][0, 0] == pytest.approx(3.0)


@pytest.mark.slow
def test_pictures_are_saved_with_300_dots_per_inch_and_letters_as_fonts(tmp_path):
    ax = stability_edge(PROBLEM, gf.SGD(0.1, 0.0, 2), NOISE, Figure(figsize=(2.0, 2.0)).subplots())
    save(ax, tmp_path / "edge.pdf")
    raw = (tmp_path / "edge.pdf").read_bytes()
    assert b"/Type0" in raw  # a composite font, as Type 42 is written
    assert b"/Subtype /Type3" not in raw
    save(ax, tmp_path / "edge.png")
    head = (tmp_path / "edge.png").read_bytes()[16:24]
    assert int.from_bytes(head[:4], "big") == 600
