"""Products with an operator give the two measures that its eigendecomposition gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

import genfun as gf
from genfun.data import LinearData, mnist_arrays, relu_ntk

N = 400


@pytest.fixture(scope="module")
def digits():
    images, labels = mnist_arrays()
    pick = np.random.default_rng(0).permutation(len(images))[:N]
    X = images[pick].reshape(N, -1) / 255.0
    K = relu_ntk(X / np.linalg.norm(X, axis=1, keepdims=True))
    return K / N, np.eye(10)[labels[pick]] - 0.1


def exact(K, y):
    return LinearData.from_kernel(K * N, y).problem


def largest_difference(a, b):
    return float(np.abs(a / b - 1.0).max())


PLAIN = gf.SpectrallyExpressible()
STEPS = [0, 1, 10, 100, 1000]


@pytest.mark.parametrize(("beta", "allowed"), [(0.0, 1e-11), (-0.3, 1e-11), (0.5, 1e-6)])
def test_forty_products_follow_full_batch_training_for_a_thousand_steps(digits, beta, allowed):
    K, y = digits
    p, q = gf.LinearProblem.from_operator(aslinearoperator(K), y[:, 0], n_samples=N), exact(K, y[:, 0])
    method = gf.SGD(1.0 / q.lambda_max, beta)
    assert p.products == 80
    assert largest_difference(gf.predict(p, method, STEPS).loss, gf.predict(q, method, STEPS).loss) < allowed


def test_with_the_exact_capacity_noise_costs_no_accuracy(digits):
    K, y = digits
    p, q = gf.LinearProblem.from_operator(K, y[:, 0], n_samples=N), exact(K, y[:, 0])
    from dataclasses import replace

    mixed = replace(p, capacity=q.measures()[0])
    method = gf.SGD(0.5 / q.lambda_max, 0.0, batch_size=20)
    assert largest_difference(gf.predict(mixed, method, STEPS).loss, gf.predict(q, method, STEPS).loss) < 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_one_probe_knows_noisy_losses_to_a_percent(digits, seed):
    # The capacity is off by about capacity_error = 1e-3; where noise drives the loss, a few times that remains.
    K, y = digits
    p, q = gf.LinearProblem.from_operator(K, y[:, 0], n_samples=N, seed=seed), exact(K, y[:, 0])
    method = gf.SGD(0.5 * gf.max_learning_rate(q, batch_size=20), 0.0, batch_size=20)
    assert abs(p.capacity_total / q.capacity_total - 1.0) < 4.0 * p.capacity_error < 0.02
    assert largest_difference(gf.predict(p, method, STEPS).loss, gf.predict(q, method, STEPS).loss) < 0.01


def test_the_capacity_error_is_the_standard_error_over_seeds(digits):
    K, y = digits
    q = exact(K, y[:, 0])
    runs = [gf.LinearProblem.from_operator(K, y[:, 0], n_samples=N, seed=s, lanczos_steps=20) for s in range(60)]
    off = np.array([p.capacity_total / q.capacity_total - 1.0 for p in runs])
    claimed = np.sqrt(np.mean([p.capacity_error**2 for p in runs]))
    # A standard deviation of 60 draws is known to 1/sqrt(120) = 9 %; three of these, and of the mean.
    assert abs(np.sqrt(np.mean(off**2)) / claimed - 1.0) < 0.28
    assert abs(off.mean()) < 3.0 * claimed / np.sqrt(60)


def test_several_outputs_add_up_and_a_coupled_operator_agrees(digits):
    K, y = digits
    y, q = y[:, :3], exact(K, y[:, :3])
    apart = gf.LinearProblem.from_operator(lambda v: K @ v, y, n_samples=N)
    coupled = gf.LinearProblem.from_operator(np.kron(K, np.eye(3)), y, n_samples=N)
    method = gf.SGD(1.0 / q.lambda_max)
    wanted = gf.predict(q, method, STEPS).loss
    assert (apart.products, coupled.products) == (160, 80)
    for p in (apart, coupled):
        assert largest_difference(gf.predict(p, method, STEPS).loss, wanted) < 1e-11
        assert abs(p.capacity_total / q.capacity_total - 1.0) < 4.0 * p.capacity_error + 1e-12


def test_half_the_products_bound_the_error(digits):
    K, y = digits
    p, q = gf.LinearProblem.from_operator(K, y[:, 0], n_samples=N), exact(K, y[:, 0])
    tau = np.array([30.0, 300.0, 3000.0])

    def decayed(problem):
        signal = problem.full_measures[1] if problem is q else problem.signal
        return np.array([np.sum(signal.weights * np.exp(-2.0 * t * signal.nodes / q.lambda_max)) for t in tau])

    true = np.abs(decayed(p) / decayed(q) - 1.0)
    assert (p.errors(tau) >= true - 1e-12).all()
    assert p.errors(3000.0) > 1e-9 > p.errors(30.0)


def test_targets_outside_the_range_count_as_label_noise():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 8)), rng.standard_normal(50)
    p = gf.LinearProblem.from_operator(lambda v: X @ (X.T @ v) / 50, y, n_samples=50, noise_variance=0.5)
    q = LinearData.from_features(X, y).problem
    assert np.isclose(p.noise_variance, q.noise_variance + 0.5, rtol=1e-10)
    assert np.isclose(p.signal_total, q.signal_total, rtol=1e-10)
    assert np.isclose(p.trace, q.trace, rtol=1e-9)
    assert np.isclose(p.capacity_total, q.capacity_total, rtol=1e-9)


def test_other_answers_take_it(digits):
    K, y = digits
    p, q = gf.LinearProblem.from_operator(K, y[:, 0], n_samples=N, probes=4), exact(K, y[:, 0])
    edges = [gf.max_learning_rate(x, batch_size=10) for x in (p, q)]
    best = [gf.optimize(x, batch_size=10, steps=200).method for x in (p, q)]
    losses = [float(gf.predict(q, method, 200).loss) for method in best]
    assert np.isclose(*edges, rtol=5e-3)
    assert losses[0] < 1.01 * losses[1]


def test_progress_reaches_the_end():
    seen = []
    gf.LinearProblem.from_operator(np.eye(5), np.ones(5), n_samples=5, progress=lambda x, stage: seen.append(x))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


@pytest.mark.parametrize(
    ("operator", "targets", "kind", "text"),
    [
        (np.array([[1.0, 1.0], [0.0, 1.0]]), [1.0, 2.0], ValueError, "symmetric"),
        (-np.eye(2), [1.0, 2.0], ValueError, "positive semi-definite|negative definite"),
        (np.diag([1.0, -0.5]), [1.0, 2.0], ValueError, "Ritz value"),
        (np.eye(3), [1.0, 2.0], ValueError, "operator must be square"),
        (lambda v: v[:1], [1.0, 2.0], ValueError, "operator must return 2"),
        (lambda v: v * np.nan, [1.0, 2.0], ValueError, "not finite"),
        (7, [1.0, 2.0], TypeError, "matvec"),
        (np.eye(2), [0.0, 0.0], ValueError, "all zero"),
        (np.eye(2), [1.0, 2.0, 3.0], ValueError, "targets must have shape"),
    ],
)
def test_bad_input_is_refused(operator, targets, kind, text):
    with pytest.raises(kind, match=text):
        gf.LinearProblem.from_operator(operator, targets, n_samples=2)


class Sampled:
    """A kernel with the blocks of its samples on the diagonal."""

    def __init__(self, K, outputs=1):
        self.K, self.shape, self.n, self.outputs = K, K.shape, len(K) // outputs, outputs

    def matvec(self, v):
        return self.K @ v

    def sample_blocks(self):
        n, o = self.n, self.outputs
        return np.einsum("iaib->iab", self.K.reshape(n, o, n, o))


def test_gradients_of_single_samples_give_the_constants_that_a_fit_to_all_moments_gives():
    rng = np.random.default_rng(0)
    X, y = rng.standard_t(6, (60, 8)) * np.arange(1, 9) ** -0.5, rng.standard_normal((60, 2))
    K, d = X @ X.T / 60, LinearData.from_features(X, y)
    p = gf.LinearProblem.from_operator(Sampled(K), y, n_samples=60)
    assert p.noise is not None
    # Eight products find all eigenvectors, so that nothing is estimated.
    assert np.isclose(p.noise.tau1, d.noise.tau1, rtol=1e-9)
    assert np.isclose(p.noise.tau2, d.noise.tau2, rtol=1e-9)
    assert np.isclose(p.trace, d.problem.trace, rtol=1e-12)
    # With two outputs coupled there is one Ritz vector for each pair of equal eigenvalues: Tr H^2 is estimated.
    coupled = gf.LinearProblem.from_operator(Sampled(np.kron(K, np.eye(2)), 2), y, n_samples=60, probes=4)
    assert coupled.noise is not None
    assert np.isclose(coupled.trace, d.problem.trace, rtol=1e-12)
    assert np.isclose(coupled.noise.tau1 - coupled.noise.tau2, d.noise.tau1 - d.noise.tau2, rtol=1e-9)
    # (Tr H)^2 tau1 = m_4 - (1 + tau1 - tau2) Tr H^2 + tau1 Tr H^2.
    overlap = d.problem.capacity_total / d.problem.trace**2
    slope = overlap * abs(1.0 - d.noise.tau2) / (1.0 - overlap)
    assert abs(coupled.noise.tau1 - d.noise.tau1) < 4.0 * slope * coupled.capacity_error + 1e-9


def test_answers_take_the_constants_that_an_operator_brings(digits):
    K, y = digits
    d = LinearData.from_kernel(K * N, y[:, 0])
    p = gf.LinearProblem.from_operator(Sampled(K), y[:, 0], n_samples=N)
    assert p.noise is not None
    # Between Ritz vectors and eigenvectors may lie what the modes that did not converge have of sum lambda^2 M.
    own = np.mean((d.eigenfeatures**2 / d.eigenvalues) ** 2, axis=0) * d.eigenvalues**2
    rest = own[p.deflated :].sum() / np.sum(d.eigenvalues**2)
    assert abs((p.noise.tau1 - p.noise.tau2) - (d.noise.tau1 - d.noise.tau2)) < rest < 0.02
    edge, plain = gf.max_learning_rate(p, batch_size=2), gf.max_learning_rate(p, batch_size=2, noise=PLAIN)
    fitted = gf.max_learning_rate(d, batch_size=2, noise="fitted")
    assert abs(edge / fitted - 1.0) < 0.1 * abs(plain / fitted - 1.0)
    assert gf.max_learning_rate(p, batch_size=2, noise="fitted") == edge
    bare = gf.LinearProblem.from_operator(K, y[:, 0], n_samples=N)
    assert bare.noise is None
    with pytest.raises(ValueError, match="needs the data"):
        gf.predict(bare, gf.SGD(0.1, batch_size=2), 3, noise="fitted")
    with pytest.raises(ValueError, match="needs the data"):
        gf.predict(p, gf.SGD(0.1, batch_size=2), 3, noise="measured")


def test_a_known_trace_lowers_the_capacity_error_and_that_is_claimed(digits):
    K, y = digits
    K, y = K[:100, :100], y[:100, 0]
    exact_total = float(np.sum(K**2))

    def runs(operator, count):
        return [
            gf.LinearProblem.from_operator(operator, y, n_samples=100, seed=s, lanczos_steps=12, deflate=4)
            for s in range(count)
        ]

    known = runs(Sampled(K), 60)
    off = np.sqrt(np.mean([(p.capacity_total / exact_total - 1.0) ** 2 for p in known]))
    claimed, plain = (np.sqrt(np.mean([p.capacity_error**2 for p in some])) for some in (known, runs(K, 10)))
    # As above: a root mean square of 60 draws is known to 9 %.
    assert abs(off / claimed - 1.0) < 0.28
    assert off < plain


@pytest.mark.parametrize(
    ("blocks", "text"),
    [(np.ones(2), "must have shape"), (np.full((2, 1, 1), np.nan), "finite"), (np.zeros((2, 1, 1)), "positive trace")],
)
def test_wrong_blocks_of_samples_are_refused(blocks, text):
    operator = Sampled(np.eye(2))
    operator.sample_blocks = lambda: blocks
    with pytest.raises(ValueError, match=text):
        gf.LinearProblem.from_operator(operator, [1.0, 2.0], n_samples=2)


@pytest.mark.parametrize("factor", [40.0, 1.0 / 40.0])
def test_blocks_of_another_scale_than_the_operator_are_refused(factor):
    X = np.random.default_rng(0).standard_normal((40, 60))  # of full rank, so that the capacity would follow the trace
    operator = Sampled(X @ X.T / 40)
    blocks = factor * operator.sample_blocks()
    assert gf.LinearProblem.from_operator(operator, X[:, 0], n_samples=40, lanczos_steps=8).noise is not None
    operator.sample_blocks = lambda: blocks
    with pytest.raises(ValueError, match="give blocks K_ii/N"):
        gf.LinearProblem.from_operator(operator, X[:, 0], n_samples=40, lanczos_steps=8)


def test_what_a_measured_spectrum_cannot_tell_is_refused_with_the_way_to_it():
    p = gf.LinearProblem.from_operator(np.diag([1.0, 0.5, 0.2]), [1.0, 1.0, 1.0], n_samples=3)
    setting = gf.SGD(0.1, batch_size=1)
    for ask in (lambda: gf.explain(p, setting), lambda: gf.phase(p, setting), lambda: gf.asymptotic_optimum(p, 1)):
        with pytest.raises(TypeError, match="no list of eigenvalues"):
            ask()
    with pytest.raises(ValueError, match="no list of eigenvalues"):
        gf.epochs_curve(p, setting, 3)


def test_gradients_of_very_many_outputs_are_not_asked_for():
    operator = Sampled(np.eye(2 * 33), 33)
    operator.sample_blocks = lambda: pytest.fail("asked for")
    p = gf.LinearProblem.from_operator(operator, np.ones((2, 33)), n_samples=2)
    assert p.noise is None
    assert p.notes[-1].endswith("tau1 = tau2 = 1")


def test_the_noise_of_coupled_outputs_is_never_negative():
    # Three outputs moved by one mode of each other: the noise of a mode in itself would be 1/3 - 1 of its square.
    n, o = 12, 3
    rng = np.random.default_rng(0)
    x = np.hstack([3.0 * np.ones((n, 1)), 0.3 * rng.standard_normal((n, 4))])
    G = np.diag([3.0, 1.0, 0.5])
    K = np.kron(x @ x.T, G) / n
    p = gf.LinearProblem.from_operator(Sampled(K, o), np.ones((n, o)) + 0.1 * rng.standard_normal((n, o)), n)
    assert p.noise.tau2 <= p.noise.tau1 / o + 1e-12
    rate = 0.9 * 2.0 * 1.9 / p.lambda_max
    steps = np.array([1, 5, 20, 60])
    noisy, still = (gf.predict(p, gf.SGD(rate, 0.9, b), steps).loss for b in (2, None))
    assert (noisy >= still * (1.0 - 1e-9)).all()
