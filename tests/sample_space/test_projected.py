"""The projected generating function of data's own noise against dense matrices and the exact recursion."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from own_methods import Nesterov

import genfun as gf
from genfun.engine.inversion import coefficients
from genfun.noise import sampling_factor
from genfun.sample_space.basis import SampleBasis, orthonormal_basis
from genfun.sample_space.measured import MeasuredNoise, measure_noise, project
from genfun.sample_space.moments import exact_curve
from genfun.sample_space.operator import SampleFeatures
from genfun.sample_space.projected_curve import (
    circle_losses,
    projected_curve,
    projected_singularity,
)
from genfun.sample_space.projected_function import ProjectedFunction
from genfun.sample_space.projection import label_moments, pair_measure
from genfun.sample_space.residuals import edge_residual, loss_residual
from genfun.sample_space.streamed import features_of
from genfun.sample_space.time_steps import early_losses


def heavy_tails(n: int = 80, d: int = 30, noise: float = 0.3, seed: int = 0) -> gf.LinearData:
    """Features of heavy tails, two outputs, label noise whose size depends on the sample."""
    rng = np.random.default_rng(seed)
    X = rng.standard_t(4, size=(n, d)) * np.arange(1, d + 1) ** -0.7
    uneven = noise * np.exp(rng.standard_normal((n, 1)))
    return gf.LinearData.from_features(X, X @ rng.standard_normal((d, 2)) + uneven * rng.standard_normal((n, 2)))


def on_vectors(data: gf.LinearData, columns: list[np.ndarray]) -> MeasuredNoise:
    """The noise on the span of given vectors."""
    return project(data, orthonormal_basis(SampleFeatures(data.eigenfeatures, data.eigenvalues), columns))


def dense_operator(data: gf.LinearData, method: gf.SGD, z: complex) -> np.ndarray:
    """A(z), from the sum of the impulse responses of every pair as a geometric series of Kronecker products."""
    lam, phi = data.eigenvalues, data.eigenfeatures
    gamma = sampling_factor(method.batch_size, data.n_samples)
    a = method.learning_rate * lam
    steps = [np.array(method.update(x, method.momentum)[0]) for x in a]
    series = np.array([[np.eye(4) - z * np.kron(left, right) for right in steps] for left in steps])
    u0 = np.linalg.solve(series, np.ones((lam.size, lam.size, 4, 1)))[:, :, 0, 0]
    u = gamma * method.learning_rate**2 * u0 / (1.0 + gamma * np.outer(a, a) * z * u0)
    # (phi_i . phi_l under u) = sum_jk (phi_ij phi_lj) u_jk (phi_ik phi_lk)
    products = phi[:, None, :] * phi[None, :, :]
    return np.einsum("ilj,jk,ilk->il", products, u, products) / data.n_samples


@pytest.fixture(scope="module")
def data() -> gf.LinearData:
    return heavy_tails()


@pytest.fixture(scope="module")
def noise(data: gf.LinearData) -> MeasuredNoise:
    return measure_noise(data)


@pytest.mark.parametrize(("beta", "b"), [(0.0, 1), (0.7, 4), (-0.5, 4)])
def test_the_small_matrix_is_the_dense_operator_between_the_basis_vectors(beta: float, b: int) -> None:
    data = heavy_tails(40, 12)
    rng = np.random.default_rng(1)
    noise = on_vectors(data, [np.ones(40), *rng.standard_normal((3, 40))])
    method = gf.SGD(0.2 / data.eigenvalues[0], beta, b)
    F = ProjectedFunction(noise, data.problem, method)
    points = np.array([0.97, 0.8 + 0.4j])
    for z, K in zip(points, F.parts(1.0 - points)[0], strict=True):
        A = noise.basis.T @ dense_operator(data, method, complex(z)) @ noise.basis
        assert np.abs(K - A).max() < 1e-11 * np.abs(A).max()


@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.8])
def test_projected_on_ones_alone_it_is_the_spectrally_expressible_noise(data: gf.LinearData, beta: float) -> None:
    method = gf.SGD(0.1 / data.eigenvalues[0], beta, 5)
    F = ProjectedFunction(on_vectors(data, [np.ones(data.n_samples)]), data.problem, method)
    G = gf.GeneratingFunction(data.problem, method)
    z = np.array([1.0, 0.9, 0.95 + 0.2j])
    np.testing.assert_allclose(F.parts(1.0 - z)[0][:, 0, 0], G.noise(z), rtol=1e-11)
    # Label noise included, wherever it sits: the constant vector sees only its mean.
    np.testing.assert_allclose(F(z[1:]), G(z[1:]), rtol=1e-11)


@pytest.mark.parametrize(
    "method", [gf.SGD(0.3, 0.0, 1), gf.SGD(0.2, 0.6, 3), gf.SGD(0.5, -0.6, 2), Nesterov(0.2, 0.5, 3)]
)
def test_with_all_vectors_it_is_the_exact_recursion(method: gf.SGD) -> None:
    data = heavy_tails(24, 6).normalized()
    noise = on_vectors(data, [np.ones(24), *np.eye(24)])
    F = ProjectedFunction(noise, data.problem, method)
    exact = exact_curve(data, method, np.arange(61)).loss.value()
    np.testing.assert_allclose(early_losses(F, 60), exact, rtol=1e-10)
    shift = projected_singularity(F).shift  # above 0 where the loss grows
    np.testing.assert_allclose(circle_losses(F, 60, shift) * np.exp(shift * np.arange(61)), exact, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("beta", "b"), [(0.0, 1), (0.9, 8), (-0.4, 4)])
def test_losses_on_few_vectors_are_those_of_the_exact_recursion(
    data: gf.LinearData, noise: MeasuredNoise, beta: float, b: int
) -> None:
    steps = np.array([1, 3, 10, 30, 100, 300, 1_000])
    for share in (0.25, 0.8):
        method = gf.SGD(share * noise.leading(gf.SGD(1.0, beta, b)).learning_rate, beta, b)
        curve = projected_curve(ProjectedFunction(noise, data.problem, method), steps)
        exact = exact_curve(data, method, steps).loss.value()
        error = np.abs(curve.loss.value() / exact - 1.0)
        assert np.median(error) < 2e-3
        assert error.max() < 1e-2
        assert loss_residual(data, features_of(data), noise, method, 30)[1] < 2e-2


@pytest.mark.parametrize(("beta", "b"), [(0.0, 1), (0.9, 8), (-0.4, 4)])
def test_the_edge_is_that_of_the_dense_operator_and_never_below(
    data: gf.LinearData, noise: MeasuredNoise, beta: float, b: int
) -> None:
    edge = noise.leading(gf.SGD(1.0, beta, b)).learning_rate
    gain = [
        np.linalg.eigvalsh(dense_operator(data, gf.SGD(rate, beta, b), 1.0))[-1]
        for rate in (edge * (1.0 - 5e-4), edge * (1.0 + 1e-9))
    ]
    assert gain[0] < 1.0 < gain[1]
    assert edge_residual(features_of(data), noise, gf.SGD(1.0, beta, b)).error < 1e-3


def test_a_basis_that_misses_the_noise_says_so() -> None:
    rng = np.random.default_rng(3)
    X = np.concatenate([rng.standard_normal((100, 5)), 10.0 * (np.arange(100) < 2)[:, None]], axis=1)
    data = gf.LinearData.from_features(X, X.sum(axis=1))
    method = gf.SGD(1.0, batch_size=1)
    poor, good = on_vectors(data, [np.ones(100)]), measure_noise(data)
    assert poor.leading(method).learning_rate > 1.5 * good.leading(method).learning_rate
    assert edge_residual(features_of(data), poor, method).error > 0.1
    assert edge_residual(features_of(data), good, method).error < 1e-3
    assert good.sound


def test_the_full_batch_has_no_noise(data: gf.LinearData, noise: MeasuredNoise) -> None:
    method = gf.SGD(0.5 / data.eigenvalues[0], 0.3)
    assert noise.leading(method).learning_rate == pytest.approx(2.0 * 1.3 / data.eigenvalues[0], rel=1e-12)
    steps = np.array([0, 5, 200])
    exact = exact_curve(data, gf.SGD(method.learning_rate, 0.3, data.n_samples), steps).loss.value()
    curve = projected_curve(ProjectedFunction(noise, data.problem, method), steps)
    np.testing.assert_allclose(curve.loss.value(), exact, rtol=1e-10)
    assert noise.edge_error(method) == 0.0
    assert gf.predict(data, method, 5).noise_error == 0.0


@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.9])
def test_contour_and_recursion_agree_at_a_thousand_steps(
    data: gf.LinearData, noise: MeasuredNoise, beta: float
) -> None:
    for share in (0.5, 1.05):
        rate = share * noise.leading(gf.SGD(1.0, beta, 4)).learning_rate
        F = ProjectedFunction(noise, data.problem, gf.SGD(rate, beta, 4))
        shift = projected_singularity(F).shift
        contour = coefficients(F, np.array([500.0, 1_000.0]), shift).mantissa
        np.testing.assert_allclose(contour, early_losses(F, 1_000, shift)[[500, 1_000]], rtol=1e-10)


@pytest.mark.slow
def test_moving_the_weights_to_few_nodes_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    lam = np.arange(1.0, 121.0) ** -0.4
    turn = np.linalg.qr(rng.standard_normal((120, 120)))[0]
    data = gf.LinearData.from_kernel((turn * (120.0 * lam)) @ turn.T, np.sin(np.arange(120.0)))
    basis = orthonormal_basis(
        SampleFeatures(data.eigenfeatures, data.eigenvalues), [np.ones(120), *rng.standard_normal((2, 120))]
    )
    labels = label_moments(data.blocks, basis.vectors, data.coefficients)
    made = [
        pair_measure(basis.moments, labels, data.eigenvalues, data.coefficients, 120, width) for width in (0.0, 0.7)
    ]
    assert made[1].nodes.size < 0.8 * made[0].nodes.size
    assert made[1].nodes[[0, -1]] == pytest.approx(data.eigenvalues[[-1, 0]], rel=1e-12)
    for beta in (-0.5, 0.9):
        full, few = (
            ProjectedFunction(
                MeasuredNoise(pairs, basis.vectors, 120, 0.0), data.problem, gf.SGD(0.2 / data.eigenvalues[0], beta, 4)
            )
            for pairs in made
        )
        q = np.array([0.0, 1e-3, 0.1])
        np.testing.assert_allclose(few.real_kernel(q)[1], full.real_kernel(q)[1], rtol=1e-12)
        # Off the axis a contour comes within 0.4 radians of the poles, seen in log lambda.
        q = 1e-2 * np.exp(1j * np.linspace(0.0, 2.0, 5))
        np.testing.assert_allclose(few.loss(q), full.loss(q), rtol=1e-8)


def test_the_basis_is_orthonormal_with_its_moments(data: gf.LinearData, noise: MeasuredNoise) -> None:
    X = noise.basis
    np.testing.assert_allclose(X.T @ X, np.eye(X.shape[1]), atol=1e-10)
    np.testing.assert_allclose(X[:, 0], data.n_samples**-0.5, rtol=1e-12)
    features = SampleFeatures(data.eigenfeatures, data.eigenvalues)
    basis = orthonormal_basis(features, [X[:, 0], X[:, 0] + X[:, 1], X[:, 1]])
    assert isinstance(basis, SampleBasis)
    assert basis.vectors.shape[1] == 2
    np.testing.assert_allclose(basis.moments[1], features.moment(basis.vectors[:, 1]), atol=1e-12)


def test_it_can_be_kept_and_reports_its_progress(data: gf.LinearData) -> None:
    told: list[float] = []
    noise = measure_noise(data, progress=lambda fraction, stage: told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1.0
    again = pickle.loads(pickle.dumps(noise))
    method = gf.SGD(1.0, 0.5, 4)
    assert again.leading(method).learning_rate == noise.leading(method).learning_rate


def test_noise_of_other_data_is_refused(noise: MeasuredNoise) -> None:
    with pytest.raises(ValueError, match="n_samples=80"):
        ProjectedFunction(noise, heavy_tails(40, 12).problem, gf.SGD(0.1, batch_size=1))


@pytest.mark.slow
def test_steps_one_by_one_are_sound_where_a_pair_of_modes_alone_is_unstable():
    rng = np.random.default_rng(0)
    place = rng.standard_normal((100, 4))
    squared = ((place[:, None] - place[None]) ** 2).sum(axis=-1)
    data = gf.LinearData.from_kernel(np.exp(-squared / 50.0), np.sin(place.sum(axis=1)))
    method = gf.SGD(0.8 * gf.max_learning_rate(data, 0.0, 1), 0.0, 1)
    steps = np.arange(257)
    exact = gf.predict(data, method, steps, "exact").log_loss
    stepped = gf.predict(data, method, steps, route="recursion").log_loss
    # Losses of this kernel are known to 1e-2, see noise_error; the recursion in time was off by a factor e^108.
    np.testing.assert_allclose(stepped, exact, rtol=0.0, atol=1e-2)
    target = 1.02 * float(np.exp(exact[200]))
    reached = gf.steps_to_loss(data, method, target)
    losses = np.exp(exact)
    first = int(np.argmax(losses <= target))
    assert losses[int(reached)] == pytest.approx(losses[first], rel=2e-2)


@pytest.mark.parametrize(("batch", "beta"), [(31, 0.5), (33, 0.5), (40, 0.8)])
def test_late_steps_leave_early_ones_as_they_are_where_noise_couples_modes_off_the_axis(batch: int, beta: float):
    rng = np.random.default_rng(4)
    X = rng.standard_t(3, size=(50, 2))
    data = gf.LinearData.from_features(X, X @ rng.normal(size=(2, 3)))
    method = gf.SGD(0.15 / float(data.problem.lambda_max), beta, batch)
    steps = np.array([0, 5, 100, 1000])
    found, exact = gf.predict(data, method, steps), gf.predict(data, method, steps, noise="exact")
    # What the noise couples decays more slowly than products of roots: a circle by those gave a loss of -0.5 at step 0.
    np.testing.assert_allclose(found.log_loss, exact.log_loss, rtol=0.0, atol=1e-6)
    assert found.status == "ok"
    # The search looked left of the pole of the slowest mode and next at a quarter of its rate: the root lay between.
    late = gf.predict(data, method, [400, 800], noise="exact").log_loss
    # Losses still beat: the largest phase factor is e^(+-1).
    assert gf.stability(data, method).growth_rate == pytest.approx((late[1] - late[0]) / 400.0, abs=2.0 / 400.0)
    early = gf.predict(data, method, np.arange(6), noise="exact").loss
    target = float(early[5]) * (1.0 + 1e-6)
    assert gf.steps_to_loss(data, method, target) == np.argmax(early <= target) > 0


def test_steps_one_by_one_say_how_far_rounding_on_their_circle_puts_them_off():
    X = np.array([[1.0, 0.2], [0.4, -0.9], [-0.7, 0.5], [0.2, 1.1]])
    data = gf.LinearData.from_features(X, X @ [1.0, -0.5] + 1e-3 * np.array([1.0, -0.4, 0.3, 0.9]))
    method = gf.SGD(0.2, 0.99, 2, weight_decay=5e-4, nesterov=True)
    steps = [200, 400, 600]
    found, exact = (
        gf.predict(data, method, steps, n, route=r) for n, r in (("measured", "recursion"), ("exact", "auto"))
    )
    apart = np.abs(found.loss / exact.loss - 1.0)
    assert (apart <= found.error + exact.error).all()
