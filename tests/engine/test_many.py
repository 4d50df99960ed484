"""Shortcuts of maps: what is done for many settings at once is what is done for each."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.engine.compiled_contour import coefficients_in_q
from genfun.engine.conditioning import projections_of_three
from genfun.engine.early import early_losses
from genfun.engine.many import losses_at
from genfun.engine.mode_sums import polynomials
from genfun.engine.recursion import Recursion
from genfun.engine.settings import Settings
from genfun.methods.family import Family


def test_projections_of_many_maps_are_those_of_their_eigenvectors():
    rng = np.random.default_rng(0)
    maps = np.concatenate([rng.standard_normal((200, 3, 3)), rng.standard_normal((200, 3, 3)) ** 2 * 1e200])
    maps[:20] = np.triu(maps[:20])  # real eigenvalues all
    modulus, projection = projections_of_three(np.moveaxis(maps, 0, 2))
    values, right = np.linalg.eig(maps)
    top, each = np.argmax(np.abs(values), axis=1), np.arange(400)
    wanted = np.abs(right[each, :, top][:, :, None] * np.linalg.inv(right)[each, top][:, None, :])
    assert np.allclose(modulus, np.abs(values[each, top]), rtol=1e-12)
    # Eigenvalues as close as a thousandth: projections of hundreds, and eps times their square.
    assert np.allclose(projection, wanted, rtol=1e-9)


def test_where_eigenvectors_coalesce_there_is_no_projection():
    block = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    modulus, projection = projections_of_three(np.stack([block, np.zeros((3, 3)), np.full((3, 3), np.nan)], axis=2))
    assert modulus[0] == 1.0
    assert np.isnan(projection).any(axis=(1, 2)).all()


LISTED = gf.LinearProblem(np.arange(1.0, 41.0) ** -1.5, np.arange(1.0, 41.0) ** -1.8)
LABELLED = gf.LinearProblem(np.arange(1.0, 41.0) ** -1.5, np.arange(1.0, 41.0) ** -1.8, noise_variance=0.3)


def grid(problem, batch=10, taus=(1.0, 1.0), template=None, rates=(0.01, 4.0), momenta=(-0.9, 0.9)):
    each = np.meshgrid(np.geomspace(*rates, 12), np.linspace(*momenta, 10), indexing="ij")
    family = Family() if template is None else Family(template)
    return Settings.of(problem, family, each[0].ravel(), each[1].ravel(), batch, gf.SpectrallyExpressible(*taus))


def by_steps(settings, step):
    run = Recursion(
        settings.problem, settings.methods(), settings.noise, settings.problem.full_measures, dtype=np.longdouble
    )
    while run.step < step:
        run.advance()
    mantissa, exponent = run.loss()
    return mantissa * np.exp2(exponent.astype(np.longdouble))


CASES = {
    "usual": grid(LISTED),
    "labels": grid(LABELLED),
    "modes that outgrow their own noise": grid(LISTED, 1),
    "noise beyond its own": grid(LISTED, 10, (1.0, -1.0)),
    "another tau1": grid(LISTED, 4, (0.6, 0.3)),
    "QHM": grid(LISTED, 10, (1.0, 1.0), gf.QHM(1.0, 0.0, 0.7, 10)),
    "momentum near 1": grid(LISTED, 10, (1.0, 1.0), None, (0.01, 4.0), (0.9, 0.9999)),
    "all diverge": grid(LISTED, 10, (1.0, 1.0), None, (5.0, 50.0)),
    "all slow": grid(LISTED, 10, (1.0, 1.0), None, (1e-9, 1e-7)),
}


@pytest.mark.parametrize("step", [1, 2, 7, 47])
@pytest.mark.parametrize("name", CASES)
def test_losses_from_shared_points_are_those_of_every_step_to_their_rounding(name, step):
    own = CASES[name]
    exact = by_steps(own, step)
    loss, rounding = early_losses(own, step, LISTED.full_measures)
    known = np.isfinite(rounding)
    # Nearly all are found; of diverging ones those of moderate growth.
    assert known.mean() > (0.5 if name == "all diverge" else 0.85)
    found, stated = losses_at(own, step)
    allowed = np.maximum(stated, 1e-14)
    assert (np.abs(loss / exact - 1.0).astype(float)[known] <= allowed[known]).all()
    assert (np.abs(found.value() / exact - 1.0).astype(float) <= allowed).all()
    # None is lost, and what is stated is not wide of it either.
    assert np.median(stated) < 1e-11


def test_settings_that_share_nothing_are_left_to_the_recursion():
    rng = np.random.default_rng(0)
    own = Settings.of(
        LISTED, Family(), rng.uniform(0.1, 1.0, 50), rng.uniform(0.0, 0.9, 50), 10, gf.SpectrallyExpressible()
    )
    assert np.isinf(early_losses(own, 5, LISTED.full_measures)[1]).all()


def test_hyperparameters_that_differ_are_told_apart():
    own = grid(LISTED)
    each, place = own.distinct
    assert np.array_equal(each[place], np.column_stack((*own.hyper, own.gamma)))
    assert len(each) == 10


METHODS = {
    "SGD": (gf.SGD(1.0), (-0.95, 0.999)),
    "QHM": (gf.QHM(1.0, 0.0, 0.7, 10), (-0.9, 0.99)),
    "Nesterov": (gf.SGD(1.0, nesterov=True), (-0.9, 0.99)),
}


@pytest.mark.parametrize("name", METHODS)
def test_responses_are_polynomials_in_q_to_rounding_also_where_the_method_remembers_long(name):
    template, momenta = METHODS[name]
    family, each = Family(template), np.linspace(*momenta, 20)
    own = Settings.of(LISTED, family, np.full(20, 0.1), each, 10, gf.SpectrallyExpressible())
    known = polynomials(own.kind, len(own.hyper))
    found = coefficients_in_q(known, own)
    assert found is not None
    q = np.array([1e-12, 1e-6 + 1e-5j, 0.02 + 0.1j, 0.7 - 0.9j, 1.0 - 1e-3j])
    exact = known.coefficients(np.broadcast_to(q, (20, 5)), tuple(h[:, None] for h in own.hyper))
    powers = q[:, None] ** np.arange(found[0].shape[2])
    for table, wanted in zip(found, exact, strict=True):
        for j, value in enumerate(wanted):
            # That at a = 0 is small where q is, and is known relative to itself.
            size = np.abs(value) if j == 0 else np.abs(wanted).max(axis=0)
            assert (np.abs(table[:, j] @ powers.T - value) <= 1e-12 * size).all()


def test_the_power_of_q_that_a_method_does_not_have_is_none():
    own = grid(LISTED)
    found = coefficients_in_q(polynomials(gf.SGD, 1), own)
    assert found is not None
    # n_u = 1 + beta - beta q, and d at a = 0 vanishes with q.
    assert (found[1][:, 0, 2:] == 0.0).all()
    assert np.allclose(found[1][:, 0, :2], np.column_stack((1.0 + own.hyper[0], -own.hyper[0])), rtol=1e-13)
    assert (found[0][:, 0, 0] == 0.0).all()
