"""What makes the measured noise quick loses nothing: few pairs, elimination, rows read in blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import genfun as gf
from genfun.engine.contour_curve import by_contour
from genfun.sample_space import streamed
from genfun.sample_space.elimination import first_solutions, gain_below_one
from genfun.sample_space.fast_pairs import HeavyBallPairs
from genfun.sample_space.few_pairs import FewPairs, departure
from genfun.sample_space.many_settings import projected_gains
from genfun.sample_space.measured import MeasuredNoise, measure_noise
from genfun.sample_space.operator import SampleFeatures
from genfun.sample_space.projected_curve import LESS_NODES, _late, _smooth, inverted, projected_singularity
from genfun.sample_space.projected_function import ProjectedFunction
from genfun.sample_space.projection import symmetric
from genfun.sample_space.skeleton import close_skeleton
from genfun.sample_space.streamed import StreamedFeatures, features_of

STEPS = np.unique(np.rint(np.geomspace(1, 1e6, 40)).astype(np.int64))


def table(noise: float, n: int = 200, d: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_t(5, size=(n, d)) * np.arange(1, d + 1) ** -0.9
    return X, X @ rng.standard_normal(d) + noise * rng.standard_normal(n)


@pytest.fixture(scope="module", params=[0.0, 0.5])
def known(request: pytest.FixtureRequest) -> tuple[gf.LinearData, MeasuredNoise]:
    data = gf.LinearData.from_features(*table(request.param))
    noise = measure_noise(data)
    assert noise._close.first.size < 0.5 * noise.pairs.first.size
    return data, noise


@pytest.mark.slow
@pytest.mark.parametrize(("share", "beta"), [(0.05, -0.5), (0.6, 0.0), (0.05, 0.5), (0.6, 0.9)])
def test_a_curve_over_few_pairs_is_that_over_all_to_its_stated_error(
    known: tuple[gf.LinearData, MeasuredNoise], beta: float, share: float
) -> None:
    data, noise = known
    method = gf.SGD(share * noise.leading(gf.SGD(1.0, beta, 4)).learning_rate, beta, 4)
    few = ProjectedFunction(noise, data.problem, method)
    assert few.pairs.first.size < noise.pairs.first.size
    whole = few.on_all_pairs()
    one, other = (inverted(F, STEPS, projected_singularity(F)) for F in (few, whole))
    seen = other.loss.log() > -600.0
    difference = np.abs(one.loss.log() - other.loss.log())[seen]
    # The contours of both are the same, so that what they leave out is too; 4 is what the estimate may be short by.
    assert (difference <= 4.0 * (one.error + other.error)[seen]).all()
    assert one.error[seen].max() < 1e-6


@pytest.mark.slow
def test_the_departure_of_few_pairs_is_seen_and_turns_a_curve_to_all_pairs(
    known: tuple[gf.LinearData, MeasuredNoise],
) -> None:
    data, noise = known
    method = gf.SGD(0.5 * noise.leading(gf.SGD(1.0, 0.5, 4)).learning_rate, 0.5, 4)
    few = close_skeleton(noise.pairs)
    right = departure(noise.pairs, few, method, noise.sampling(method))
    assert right.serves
    assert max(right.real, right.circle, right.largest[-1]) < 1e-9
    wrong = replace(few, kernel=few.kernel * (1.0 + 1e-3))
    seen = departure(noise.pairs, wrong, method, noise.sampling(method))
    # A thousandth of sums that are a good part of their absolute terms, times the largest of eight normal numbers.
    assert 1e-4 < min(seen.real, seen.circle, seen.largest[0]) < 4e-3
    assert not seen.serves
    other = replace(noise)
    vars(other)["_close"] = wrong
    assert ProjectedFunction(other, data.problem, method).pairs is noise.pairs


@pytest.mark.slow
@pytest.mark.parametrize(("beta", "size", "share"), [(0.9, 32, 0.8), (0.9, 32, 0.5), (0.9, 100, 0.2)])
def test_losses_in_which_resonances_have_not_faded_err_no_more_over_few_pairs_than_is_stated(
    known: tuple[gf.LinearData, MeasuredNoise], beta: float, size: int, share: float
) -> None:
    # By 9, 2 and 3 times what was stated while a departure on the circle was taken for that of a loss.
    data, noise = known
    method = gf.SGD(share * gf.max_learning_rate(data, beta, size), beta, size)
    steps = np.array([20, 40, 80, 150, 300, 600])
    few = ProjectedFunction(noise, data.problem, method)
    one, other = (inverted(F, steps, projected_singularity(F)) for F in (few, few.on_all_pairs()))
    assert (np.abs(one.loss.log() - other.loss.log()) <= one.error + other.error).all()
    assert one.error.max() < 1e-6


def test_few_pairs_serve_until_the_slowest_mode_of_a_wide_spectrum_has_moved() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 40)) * np.logspace(0, -6, 40)
    data = gf.LinearData.from_features(X, X @ np.logspace(0, 5, 40) + 0.3 * rng.standard_normal(120))
    noise = measure_noise(data)
    method = gf.SGD(0.5 * noise.leading(gf.SGD(1.0, 0.5, 4)).learning_rate, 0.5, 4)
    assert noise._close.first.size < noise.pairs.first.size  # a single curve would not look for few
    F, steps = ProjectedFunction(noise, data.problem, method), np.array([10**8, 10**10, 10**12])
    assert F.pairs.first.size < 0.7 * noise.pairs.first.size
    one, other = (inverted(G, steps, projected_singularity(G)) for G in (F, F.on_all_pairs()))
    assert (np.abs(one.loss.log() - other.loss.log()) <= 4.0 * (one.error + other.error)).all()
    assert one.error.max() < 1e-6


@pytest.mark.slow
def test_late_losses_that_few_pairs_would_show_in_are_summed_over_all(
    known: tuple[gf.LinearData, MeasuredNoise],
) -> None:
    data, noise = known
    method = gf.SGD(0.3 * noise.leading(gf.SGD(1.0, 0.0, 4)).learning_rate, 0.0, 4)
    F = ProjectedFunction(noise, data.problem, method)
    singular, late = projected_singularity(F), STEPS[STEPS > 200]
    F.few = FewPairs(F.pairs, 1e-4, 1e-4, largest=np.full(1, 1e-4))
    at = (200, float(F.known_curve(np.array([200]), singular).loss.log()[0]))
    found, whole = _late(F, late, singular, at, 0.0, True), F.on_all_pairs()
    nodes = by_contour(whole, late, singular, counts=(LESS_NODES,)).loss.log()
    np.testing.assert_array_equal(found.loss.log(), nodes)
    more = np.abs(found.loss.log() - _late(whole, late, singular, at, 0.0, True).loss.log())
    assert (more <= 4.0 * found.error).all()
    assert found.error.max() < 1e-7


@pytest.mark.parametrize("beta", [-0.4, 0.0, 0.9])
def test_the_loss_on_the_first_vectors_from_the_sums_of_all_is_that_from_their_own(
    known: tuple[gf.LinearData, MeasuredNoise], beta: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, noise = known
    method = gf.SGD(0.5 * noise.leading(gf.SGD(1.0, beta, 4)).learning_rate, beta, 4)
    F = noise.transform(data.problem, method)
    F.known_curve(STEPS, F.known_singularity())
    few = noise._for_curves
    alone = few.transform(data.problem, method)
    expected = alone.known_curve(STEPS, alone.known_singularity())
    sums, asked = HeavyBallPairs.sums, []

    def watched(self: HeavyBallPairs, q: np.ndarray, *rest: Any, **more: Any) -> Any:
        asked.extend(q.tolist())
        return sums(self, q, *rest, **more)

    monkeypatch.setattr(HeavyBallPairs, "sums", watched)
    shared = F.on_first(few)
    found = shared.known_curve(STEPS, shared.known_singularity())
    assert (np.abs(found.loss.log() - expected.loss.log()) <= 4.0 * (found.error + expected.error)).all()
    assert found.error.max() < 1e-6
    assert set(asked) <= {0.0}  # no sum of the curve is taken again


def test_circles_have_the_next_number_of_points_without_a_prime_factor_above_five() -> None:
    from scipy.fft import next_fast_len

    assert all(_smooth(n) == next_fast_len(n, real=True) for n in [*range(1, 300), 4_097, 65_537, 10**6 + 3])


@pytest.mark.parametrize("kind", [float, complex])
def test_elimination_solves_as_lapack_does_and_counts_pivots(kind: type) -> None:
    rng, m, k = np.random.default_rng(1), 6, 1_100
    packed = rng.standard_normal((m * (m + 1) // 2, k)).astype(kind) * 0.3
    source, z = rng.standard_normal((m, k)).astype(kind), np.linspace(0.1, 1.2, k).astype(kind)
    if kind is complex:
        packed, z = packed + 0.1j * rng.standard_normal(packed.shape), z * np.exp(0.5j)
    matrix = np.eye(m) - z[:, None, None] * symmetric(packed, m)
    expected = np.linalg.solve(matrix, source.T[:, :, None])[:, 0, 0]
    # A pivot of a thousandth of the largest entry may lose five digits.
    np.testing.assert_allclose(first_solutions(packed, source, z), expected, rtol=1e-8, atol=1e-8)
    if kind is float:
        below = np.linalg.eigvalsh(z[:, None, None] * symmetric(packed, m))[:, -1] < 1.0
        assert 0 < below.sum() < k
        np.testing.assert_array_equal(gain_below_one(packed, z, m), below)


def test_a_vanishing_pivot_is_solved_by_itself_and_what_is_not_finite_stays_so() -> None:
    packed = np.array([[0.0, np.nan], [0.5, 0.0], [1.0, 0.0]])  # I - K has 0 in the corner that goes first
    found = first_solutions(packed, np.ones((2, 2)), np.ones(2))
    assert found[0] == pytest.approx(-2.0)
    assert np.isnan(found[1])


@pytest.mark.parametrize("single", [False, True])
def test_rows_read_in_blocks_give_the_products_of_features_in_memory(
    single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "SINGLE", 0.0 if single else 1e300)
    monkeypatch.setattr(streamed, "ROWS", 64)
    X, y = table(0.5)
    whole, read = (gf.LinearData.from_features(X, y, memory_limit=limit) for limit in (1 << 30, 0))
    exact = SampleFeatures(whole.normalized().eigenfeatures, whole.normalized().eigenvalues)
    p, R = np.random.default_rng(2).standard_normal(200), np.random.default_rng(3).random(exact.lam.size * 91 // 2)
    for data in (whole.normalized(), read.normalized()):
        few = features_of(data)
        assert isinstance(few, StreamedFeatures) == (single or not data.store.whole)
        tolerance = 1e-5 if single else 1e-10
        for one, other in (
            (few.moment(p), exact.moment(p)),
            (few.quadratic(R), exact.quadratic(R)),
            (few.squares(R), exact.squares(R)),
            (few.column(3), exact.column(3)),
        ):
            assert one.dtype == np.float64
            np.testing.assert_allclose(one, other, rtol=0.0, atol=tolerance * np.abs(other).max())


@pytest.mark.slow
@pytest.mark.parametrize("single", [False, True])
def test_the_noise_of_features_that_do_not_fit_is_that_of_those_that_do(
    single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = table(0.5, 400, 30)
    whole = gf.LinearData.from_features(X, y)
    monkeypatch.setattr(streamed, "SINGLE", 0.0 if single else 1e300)
    read = gf.LinearData.from_features(X, y, memory_limit=0)
    with pytest.raises(MemoryError):
        _ = read.eigenfeatures
    for b, beta in ((1, 0.0), (16, 0.9)):
        edges = [gf.max_learning_rate(data, batch_size=b, momentum=beta) for data in (whole, read)]
        # Edges err by the square of what the vectors do.
        assert edges[0] == pytest.approx(edges[1], rel=1e-6 if single else 1e-9)
    method = gf.SGD(0.3 * edges[0], 0.9, 16)
    losses = [float(gf.predict(data, method, 2_000).loss) for data in (whole, read)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5 if single else 1e-8)
    assert read.measured_noise.sound


def test_a_table_of_forty_categories_whose_modes_share_no_sample_gets_few_pairs_and_an_exact_loss() -> None:
    shares = np.arange(1, 41) ** -1.2
    rng = np.random.default_rng(0)
    category = rng.choice(40, size=150, p=shares / shares.sum())
    X = np.eye(40)[np.unique(category, return_inverse=True)[1]]
    data = gf.LinearData.from_features(X[:, X.any(axis=0)], rng.standard_normal(150))
    noise, method = data.measured_noise, gf.SGD(0.1, 0.0, 4)
    # Blocks of pairs of which no sample has both were to be interpolated from their largest column, which is zero.
    assert noise.skeleton.first.size < noise.pairs.first.size
    found, exact = gf.predict(data, method, [10, 300]), gf.predict(data, method, [10, 300], noise="exact")
    np.testing.assert_allclose(found.log_loss, exact.log_loss, rtol=0.0, atol=3.0 * found.noise_error.max() + 1e-9)
    assert found.noise_error.max() < 1e-2


def test_a_search_sums_over_the_pairs_of_maps_with_the_first_vectors_alone(
    known: tuple[gf.LinearData, MeasuredNoise],
) -> None:
    _, noise = known
    few, whole = noise.quick(0.9), noise.for_maps(0.9)
    assert whole.pairs.size == noise.pairs.size > noise.fewer == few.pairs.size
    assert few.pairs.first.size == whole.pairs.first.size < noise.pairs.first.size
    assert noise.for_maps(0.9999) is noise
    # Of the same sums over all pairs; with weights of another vector among them they would differ at once.
    rates, momenta = np.geomspace(0.01, 0.5, 4), np.array([0.9, 0.0, -0.5, 0.5])
    for thin, all_pairs in ((few, noise.coarser.pairs), (whole, noise.pairs)):
        gains = [projected_gains(pairs, rates, momenta, np.full(4, 0.2)) for pairs in (thin.pairs, all_pairs)]
        np.testing.assert_allclose(*gains, rtol=1e-6)


@pytest.mark.slow
def test_what_a_smaller_rate_costs_is_read_from_a_map_to_its_error(known: tuple[gf.LinearData, MeasuredNoise]) -> None:
    data, noise = known
    best = gf.optimize(data.problem, 4, 200, 0.5, noise)
    smaller = gf.SGD(0.9 * best.method.learning_rate, 0.5, 4)
    ratio = float(gf.predict(data.problem, smaller, 200, noise).loss) / best.loss
    assert abs(best.smaller_rate_cost - (ratio - 1.0)) <= 2e-4 * ratio
