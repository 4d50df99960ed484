"""The compiled loops of maps and the blocks of steps give what the plain lines give."""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest

import genfun as gf
from genfun.engine import fused
from genfun.engine.blocks import Blocks
from genfun.engine.generating_function import GeneratingFunction
from genfun.engine.many import losses_at
from genfun.engine.mode_sums import ModeSums
from genfun.engine.recorded_run import SingleRecursion
from genfun.engine.settings import Settings
from genfun.methods.family import Family
from genfun.scaled import Scaled

PROBLEMS = {
    "listed": gf.LinearProblem(np.arange(1.0, 301.0) ** -1.5, np.arange(1.0, 301.0) ** -1.8, noise_variance=0.01),
    "infinite": gf.PowerLaw(1.5, 0.5),
}


def plain(function, work=0.0):
    return None


def settings(problem, template=None):
    rates, momenta = np.meshgrid(np.geomspace(0.02, 1.5, 5), np.linspace(-0.8, 0.8, 4))
    family = Family() if template is None else Family(template)
    return Settings.of(problem, family, rates.ravel(), momenta.ravel(), 10, gf.SpectrallyExpressible(1.0, 0.7))


@pytest.mark.parametrize("template", [None, gf.QHM(1.0, 0.0, 0.7, 10)], ids=["SGD", "QHM"])
@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("step", [30, 5000])
def test_compiled_maps_are_those_of_numpy_and_lose_no_cell(name, step, template, monkeypatch):
    pytest.importorskip("numba")
    own = settings(PROBLEMS[name], template)
    compiled = losses_at(own, step)[0]
    monkeypatch.setattr("genfun.engine.mode_sums.loaded", plain)
    monkeypatch.setattr("genfun.engine.many.loaded", plain)
    monkeypatch.setattr(fused, "loaded", plain)
    reference = losses_at(own, step)[0]
    assert np.isfinite(reference.log()).all()
    # A growing loss turns the rounding of a rate into t times as much.
    assert (compiled.relative_difference(reference) < 1e-12 * (1.0 + np.abs(reference.log()))).all()


def test_compiled_sums_keep_what_is_not_a_number():
    pytest.importorskip("numba")
    import numba  # noqa: F401

    quick = fused.loaded(fused.sums_at_points)
    flat = np.ones((3, 3), dtype=complex)
    flat[0, 1] = np.nan
    moments = np.empty((1, 6))
    quick(flat.view(float), np.array([1.0, 2.0]), np.ones((1, 2)), moments)
    found = moments.view(complex)[0]
    assert found[0] == pytest.approx(1 / 3 + 1 / 7)
    assert np.isnan(found[1])
    assert found[2] == found[0]


def test_numba_is_not_loaded_for_little_work(monkeypatch):
    monkeypatch.delitem(fused.sys.modules, "numba", raising=False)
    assert fused.loaded(fused.sums_at_points, 1e6) is None


def test_numba_is_loaded_for_a_map_of_a_second_once_its_loops_are_compiled(monkeypatch, tmp_path):
    pytest.importorskip("numba")
    monkeypatch.delitem(fused.sys.modules, "numba", raising=False)
    monkeypatch.setattr(fused, "_compiled", lambda function: function)
    monkeypatch.setattr(fused, "_kept", lambda function: False)
    plain = inspect.unwrap(fused.sums_at_points)
    assert fused.loaded(fused.sums_at_points, 3e8) is None
    assert fused.loaded(fused.sums_at_points, 5e8) is plain
    monkeypatch.setattr(fused, "_kept", lambda function: True)
    assert fused.loaded(fused.sums_at_points, 3e8) is plain


def test_compiled_loops_are_known_where_numba_keeps_them(monkeypatch, tmp_path):
    numba = pytest.importorskip("numba")
    (tmp_path / "own_loops.py").write_text("def one(x):\n    return x + 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    one = importlib.import_module("own_loops").one
    assert not fused._kept(one)
    numba.njit(cache=True)(one)(1)
    assert fused._kept(one)


def test_sums_with_the_least_denominator_are_those_without():
    nodes, weights = np.array([0.5, 1.0, 0.1]), np.array([1.0, 2.0, 3.0])
    sums = ModeSums((2, 0, 2), nodes, [(1, weights)])
    q = np.array([0.1, 0.01])
    table = [np.array([q, 1.0 + q, -0.1 + 0.0 * q]), np.array([1.0 + q]), np.array([q, q, q])]
    found, least = sums.on_axis(table, q, 0.2, 0.3)
    assert np.array_equal(found[0], sums(table, q, 0.2, 0.3)[0])
    assert np.array_equal(least, sums.least_denominator(table, q, 0.2, 0.3))


CASES = {
    "plain": gf.SGD(0.5, 0.5, 10),
    "negative momentum": gf.SGD(0.4, -0.7, 10),
    "slow momentum": gf.SGD(0.001, 0.999, 10),
    "diverging": gf.SGD(0.3, 0.9, 1),
    "full batch": gf.SGD(1.5, 0.9, None),
    "a step that a mode's own noise holds": gf.SGD(1.1, 0.0, 1),
}


@pytest.mark.parametrize("real", [np.float64, np.longdouble])
@pytest.mark.parametrize("name", CASES)
def test_blocks_of_steps_are_the_steps(name, real, monkeypatch):
    monkeypatch.setattr(SingleRecursion, "compiled", lambda self: False)  # which numba would be, once it is loaded
    method, last = CASES[name], 700
    G = GeneratingFunction(PROBLEMS["listed"], method, gf.SpectrallyExpressible(1.0, 1.0))
    run, reference = SingleRecursion(G, real), SingleRecursion(G, np.longdouble)
    exact = [reference._run.loss()]
    for _ in range(last):
        reference._run.advance()
        exact.append(reference._run.loss())
    wanted = np.array([np.log(m[0]) + e[0] * np.log(2.0) for m, e in exact], dtype=float)
    # In uneven pieces: what a block has beyond a piece is kept for the next.
    found = np.concatenate([run.losses(until).log() for until in (3, 300, 301, last)])
    rounding = 2.3e-16 * (16.0 + np.arange(last + 1)) / (1.0 - abs(method.momentum))
    assert (np.abs(found - wanted) < rounding + 4e-16 * np.abs(wanted)).all()


@pytest.mark.parametrize("name", [*CASES, "QHM", "Nesterov and weight decay"])
def test_compiled_steps_of_one_setting_are_the_steps_whatever_their_range(name):
    pytest.importorskip("numba")
    import numba  # noqa: F401

    others = {
        "QHM": gf.QHM(0.8, 0.9, 0.3, 4),
        "Nesterov and weight decay": gf.SGD(0.1, 0.9, 4, nesterov=True),
    }
    method, last = CASES.get(name) or others[name], 6_000
    G = GeneratingFunction(PROBLEMS["listed"], method, gf.SpectrallyExpressible(1.0, 0.6))
    run, reference = SingleRecursion(G), SingleRecursion(G)
    assert run.compiled()
    found = Scaled.join([run.losses(until) for until in (0, 37, 38, last)])
    mantissa, exponent = reference._run.run(last)
    wanted = Scaled(mantissa[0], exponent[0])
    assert found.mantissa.size == last + 1
    rounding = 2.3e-16 * (16.0 + np.arange(last + 1)) / (1.0 - abs(method.momentum))
    assert (found.relative_difference(wanted) < rounding).all()
    if name == "diverging":  # far beyond the range of doubles
        assert found.log()[-1] > 800.0


def test_blocks_are_short_where_a_mode_would_outgrow_its_own_noise():
    steep = GeneratingFunction(PROBLEMS["listed"], gf.SGD(1.8, 0.0, 1), gf.SpectrallyExpressible(1.0, 1.0))
    smooth = GeneratingFunction(PROBLEMS["listed"], gf.SGD(0.1, 0.0, 1), gf.SpectrallyExpressible(1.0, 1.0))
    assert Blocks.of(SingleRecursion(steep)._run, 1000) is None
    assert Blocks.of(SingleRecursion(smooth)._run, 1000).length >= 64


def test_a_singularity_is_searched_once_for_a_problem_and_a_setting(monkeypatch):
    from genfun.engine import singularity

    seen = []
    search = singularity.searched_singularity
    monkeypatch.setattr(singularity, "searched_singularity", lambda G: seen.append(G) or search(G))
    problem, other = (gf.LinearProblem([1.0, 0.5], [1.0, scale]) for scale in (1.0, 3.0))
    noise = gf.SpectrallyExpressible(1.0, 0.5)
    asked = [
        (problem, gf.SGD(0.3, 0.0, 4), noise),
        (other, gf.SGD(0.3, 0.0, 4), noise),
        (problem, gf.SGD(0.3, 0.1, 4), noise),
        (problem, gf.SGD(0.3, 0.0, 4), gf.SpectrallyExpressible(1.0, 0.6)),
        (gf.LinearProblem([1.0, 0.5], [1.0, 1.0], noise_variance=0.1), gf.SGD(0.3, 0.0, 4), noise),
    ]
    for case in asked * 2:
        gf.predict(case[0], case[1], [1, 1000], case[2])
    assert len(seen) == len(asked)
