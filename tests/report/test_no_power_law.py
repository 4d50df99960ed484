"""A spectrum that is no power law is told so in words, without a phase or an exponent, wherever it is shown."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import run

import genfun as gf
from genfun.report import tables

k = np.arange(1, 201.0)
BENT = gf.LinearProblem(1.0 / (k + k**2.2 / 50.0), k**-1.5, n_samples=500)
SETTING = ("--batch-size", 4, "--learning-rate", 0.1)
EXPONENT = re.compile(r"t\^|dominated|\bnu =|zeta =|takes over")


@pytest.fixture
def bent(tmp_path):
    path = tmp_path / "bent.npz"
    np.savez(path, eigenvalues=BENT.eigenvalues, signal=BENT.signal, n_samples=500)
    return path


def test_the_command_phase_says_that_there_is_none(bent):
    assert np.isfinite(gf.phase(BENT, gf.SGD(0.1, batch_size=4)).exponent)
    shown = run("phase", bent, *SETTING).stdout
    assert "no phase: the spectrum is no power law" in shown
    assert not EXPONENT.search(shown)
    assert "straight lines fit over a factor 11 of the mode number only, and a factor 18.2 follows" in " ".join(
        shown.split()
    )


def test_a_spectrum_too_short_for_exponents_is_refused_with_one_reason(tmp_path):
    path = tmp_path / "four.npz"
    np.savez(path, eigenvalues=[1.25, 1.0, 0.9, 0.8], signal=[0.1, 0.2, 0.3, 0.9], n_samples=100)
    said = " ".join(run("phase", path, *SETTING, code=2).stderr.split())
    assert "straight lines fit over a factor 4 of the mode number only, and 10 is needed" in said
    assert len(said) < 300


@pytest.mark.other_kinds
def test_the_facts_of_the_report_give_the_reason_in_place_of_exponents():
    law, none = (tables.spectrum_facts(SimpleNamespace(fit=gf.fit_power_law(p))) for p in (gf.PowerLaw(1.5, 0.5), BENT))
    assert "nu (eigenvalues)" in dict(law.pairs)
    assert dict(none.pairs) == {"power law?": "no, so there are no exponents and no phase"}
    assert any("fit over a factor" in remark for remark in none.remarks)


def test_the_explorer_puts_no_point_among_the_phases():
    pytest.importorskip("bokeh")
    from genfun.explorer.model import Point
    from genfun.explorer.pictures import PhasePicture

    picture = PhasePicture()
    picture.show(Point(0.5, 0.7, True))
    assert list(picture.point.data["x"]) == [0.5]
    picture.show(Point(0.5, 0.7, False))
    assert not picture.point.data["x"]
    assert picture.figure.title.text == "No phase: the spectrum is no power law"
