"""What genfun has of its own, so that a command need not wait for the import of scipy, agrees with scipy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import zeta

from genfun._root import bracketed_root
from genfun.problems.power_law import _zeta_tail

FUNCTIONS = {
    "smooth": (lambda x: np.exp(x) - 3.0, -5.0, 20.0),
    "curved": (lambda x: (x - 0.3) ** 3 + 1e-3 * (x - 0.3), -1.0, 4.0),
    "step": (lambda x: -1.0 if x < 0.123456789 else 2.0, -1.0, 1.0),
    "pole beside the root": (lambda x: 1.0 / (1.001 - x) - 2.0, 0.0, 1.0),
    "root at an end": (lambda x: x, 0.0, 1.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_roots_are_those_of_scipy(name):
    function, low, high = FUNCTIONS[name]
    found = bracketed_root(function, low, high, 1e-13, 1e-14)
    assert found == pytest.approx(brentq(function, low, high, xtol=1e-13), abs=2e-13)


def test_a_root_takes_no_more_values_than_halving():
    seen = []
    bracketed_root(lambda x: seen.append(x) or (x - 0.3) ** 9, -1.0, 4.0, 1e-13, 0.0)
    assert len(seen) < 2 * np.log2(5.0 / 1e-13)


def test_equal_signs_are_refused():
    with pytest.raises(ValueError, match="change its sign"):
        bracketed_root(lambda x: 1.0, 0.0, 1.0, 1e-13, 0.0)


@pytest.mark.parametrize("s", [1.0001, 1.5, 2.0, 7.7, 100.0])
def test_sums_of_tails_are_hurwitz_zeta(s):
    for first in (1.0, 2.0, 19.0, 1e3, 1e12):
        if first**-s > 1e-290:
            assert _zeta_tail(s, first) == pytest.approx(float(zeta(s, first)), rel=2e-14)
    assert _zeta_tail(1.0, 5.0) == np.inf


def test_a_command_on_a_power_law_needs_no_scipy():
    code = (
        "import sys; sys.argv = 'genfun max-lr power-law --nu 1.5 --zeta 0.5 --batch-size 9'.split()\n"
        "from genfun.__main__ import run\n"
        "try: run()\n"
        "finally: assert not {'scipy', 'matplotlib', 'sympy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
