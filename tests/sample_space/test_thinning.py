"""What makes a measured noise quick: folds of packed moments, columns left out by elimination, curves kept."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest

import genfun as gf
from genfun.sample_space import projected_curve, streamed
from genfun.sample_space.basis import sample_basis
from genfun.sample_space.galerkin import GalerkinSpace
from genfun.sample_space.pairs import PairResponses
from genfun.sample_space.projection import PairFold, pair_measure
from genfun.sample_space.skeleton import CROWDED, _interpolated
from genfun.sample_space.sketch import LATE_WEIGHT, sketched
from genfun.sample_space.streamed import features_of
from genfun.sample_space.thinned import FIRST, FIRST_ASKED

EPS = np.finfo(np.float64).eps


@pytest.mark.parametrize(("rank", "width"), [(150, 0.7), (70, 0.0)])
def test_products_of_packed_matrices_fold_as_those_of_whole_ones(rank: int, width: float) -> None:
    rng, m = np.random.default_rng(0), 3
    lam = np.arange(1.0, rank + 1.0) ** -1.5
    packed, other = rng.standard_normal((m, rank * (rank + 1) // 2)), rng.standard_normal((rank, rank))
    other = other + other.T
    fold = PairFold(lam, width)
    assert (fold.rule.nodes.size < rank) == (width > 0.0)
    whole = fold.ascending(packed)
    rows, columns = np.triu_indices(rank)
    np.testing.assert_array_equal(whole[:, ::-1, ::-1][:, rows, columns], packed)
    np.testing.assert_array_equal(whole, whole.swapaxes(1, 2))
    kernel, source = fold.products(packed, other)
    # Sums of rank^2 products, of interpolation weights that add up to at most a few.
    rounding = 64.0 * EPS * rank
    for found, (a, b) in zip(kernel, combinations_with_replacement(whole, 2), strict=True):
        expected = fold(a * b)
        np.testing.assert_allclose(found, expected, rtol=0.0, atol=rounding * np.abs(expected).max())
    for found, a in zip(source, whole, strict=True):
        expected = fold(a * other)
        np.testing.assert_allclose(found, expected, rtol=0.0, atol=rounding * np.abs(expected).max())


@pytest.mark.parametrize(("rank", "width"), [(150, 0.7), (70, 0.0)])
def test_a_first_moment_that_is_known_better_is_taken_in_double_precision(rank: int, width: float) -> None:
    rng, m = np.random.default_rng(0), 3
    lam, (rows, columns) = np.arange(1.0, rank + 1.0) ** -1.5, np.triu_indices(rank)
    moments, first = rng.standard_normal((m, rows.size)).astype(np.float32), lam / 7.0
    exact = moments.astype(np.float64)
    exact[0] = np.where(rows == columns, first[rows], 0.0)
    given = (np.zeros((m, rank)), np.zeros(m)), lam, rng.standard_normal((rank, 1)), 50, width
    found, expected = pair_measure(moments, *given, first=first), pair_measure(exact, *given)
    for name in ("kernel", "source", "norms", "gradient"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("columns", [40, 300])
def test_columns_left_out_are_mixtures_of_those_kept(columns: int) -> None:
    rng, rows, rank = np.random.default_rng(0), 40, 12
    assert (columns > CROWDED * rows) == (columns == 300)
    table = rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, columns))
    kept, rest, mixture = _interpolated(table.copy(), 1e-10, rows)
    assert kept.size == rank
    assert sorted([*kept, *rest]) == list(range(columns))
    # Elimination and triangular solves on some dozens of columns lose two or three digits.
    np.testing.assert_allclose(table[:, kept] @ mixture, table[:, rest], rtol=0.0, atol=1e4 * EPS * np.abs(table).max())


def test_columns_of_zeros_are_left_out_and_one_of_them_alone_is_not_looked_for() -> None:
    table = np.zeros((10, 50))
    kept, rest, mixture = _interpolated(table.copy(), 0.0, 10)
    assert kept.size == 0
    assert rest.size == 50
    assert mixture.shape == (0, 50)


def test_a_curve_that_is_asked_for_again_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    data, calls = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], n_samples=40, seed=0), []
    inverted = projected_curve.inverted

    def counted(*arguments: object) -> object:
        calls.append(arguments)
        return inverted(*arguments)  # pyright: ignore

    data.measured_noise.pairs_for(gf.SGD(0.1, 0.0, 5))
    monkeypatch.setattr(projected_curve, "inverted", counted)
    first = gf.predict(data, gf.SGD(0.1, 0.0, 5), [10, 100])
    once = len(calls)
    again = gf.predict(data, gf.SGD(0.1, 0.0, 5), [10, 100])
    assert once == len(calls) > 0
    np.testing.assert_array_equal(first.loss, again.loss)
    np.testing.assert_array_equal(first.noise_error, again.noise_error)
    for other in (gf.SGD(0.1, 0.0, 6), gf.SGD(0.1, 0.1, 5), gf.SGD(0.11, 0.0, 5)):
        assert gf.predict(data, other, [10, 100]).loss[0] != first.loss[0]
    assert gf.predict(data, gf.SGD(0.1, 0.0, 5), [10, 101]).loss[1] != first.loss[1]


def test_the_first_questions_have_all_pairs_and_few_are_looked_for_when_more_are_asked() -> None:
    data = gf.data.mnist(60)
    methods = [gf.SGD(0.1 * i, 0.0, 5) for i in range(1, FIRST + 2)]
    noise = data.measured_noise
    for method in methods[:FIRST]:
        assert noise.pairs_for(method).pairs is noise.pairs
        assert noise.pairs_for(method).resonant == 0.0
    assert not noise.looked_for_few
    assert noise.pairs_for(methods[-1]).pairs.first.size < noise.pairs.first.size
    assert noise.looked_for_few
    again = gf.data.mnist(60).measured_noise
    for _ in range(FIRST_ASKED):
        assert again.pairs_for(methods[0]).pairs is again.pairs
    assert again.pairs_for(methods[0]).pairs.first.size < again.pairs.first.size


def test_rows_of_a_sketch_are_the_weighted_responses_of_all_pairs_up_to_their_sign() -> None:
    pairs = gf.data.gaussian([1.0, 0.4, 0.1], [1.0, 1.0, 1.0], n_samples=60, seed=0).measured_noise.pairs
    q, beta = np.array([0.02, 0.3 - 0.4j, 1e-3 + 0.1j]), np.array([0.0, 0.8, -0.5])
    gamma, rate = np.array([1.0, 0.3, 0.05]), np.array([0.5, 0.9, 0.2])
    late = (np.array([1e-4]), np.array([0.5]), np.array([0.1]), np.array([0.3]))
    found = np.split(sketched(pairs, (q, beta, gamma, rate), 6, late), 2)  # six mixtures of five rows and one
    a, b = pairs.nodes[pairs.first], pairs.nodes[pairs.second]
    setting = [(q[i], PairResponses(gf.SGD(rate[i], beta[i], 1), gamma[i]), rate[i]) for i in range(3)]
    both = np.array([responses.dressed(at, alpha * a, alpha * b) for at, responses, alpha in setting])
    for which, size in enumerate(pairs.sizes):
        rows = np.concatenate([np.real(both[:, which]), np.imag(both[1:, which])]) * size
        np.testing.assert_allclose(np.abs(found[which]).sum(axis=1)[1:5], 1.0, rtol=64.0 * EPS)
        rows = np.abs(rows / np.abs(rows).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(np.abs(found[which][1:5]), rows[1:], rtol=0.0, atol=64.0 * EPS)
        # The late row comes upon the first, ten times its weight: all of its entries have one sign.
        late_row = [found[which][0] - sign * rows[0] for sign in (-1.0, 1.0)]
        assert any(abs(np.abs(row).sum() - LATE_WEIGHT) < 1e-12 and abs(row.sum()) > 9.9 for row in late_row)


def test_a_search_in_single_precision_keeps_the_mean_path_exact_and_makes_fewer_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, halves = [], []
    for least in (streamed.SINGLE, 0.0):
        monkeypatch.setattr(streamed, "SINGLE", least)
        data = gf.data.mnist(60)
        space = GalerkinSpace(features_of(data))
        sample_basis(space)
        halves.append(space.halves)
        found.append(data.measured_noise)
    double, single = found
    assert single.pairs.source.dtype == np.float64
    # Seven digits of the coupling of modes, and all of what the mean path is made of.
    np.testing.assert_allclose(single.pairs.source[0], double.pairs.source[0], rtol=0.0, atol=1e-13)
    # The first searches are rougher where a product takes long; edges are known as well as they are said to be.
    assert halves[1] < halves[0]
    assert single.sound
    edges = [noise.leading(gf.SGD(0.3, 0.5, 8)).learning_rate for noise in found]
    assert edges[0] == pytest.approx(edges[1], rel=3.0 * single.error)
