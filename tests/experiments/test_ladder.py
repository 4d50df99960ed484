"""The ladder: each rung is what it claims to be, and neighbours part exactly where an assumption fails."""

from __future__ import annotations

import numpy as np
import pytest
from own_methods import Nesterov

import genfun as gf
from genfun.data import LinearData, relu_ntk
from genfun.experiments.agreement.diagonal import diagonal_loss
from genfun.experiments.agreement.ladder import Ladder, ladder
from genfun.experiments.agreement.rung import ORDER, Rung, paired, steadied
from genfun.experiments.networks.network import TwoLayerReLU
from genfun.experiments.simulation.runs import Runs
from genfun.experiments.simulation.simulate import simulate

torch = pytest.importorskip("torch")

STEPS = np.array([0, 1, 2, 7, 40])
SETTINGS = [gf.SGD(0.4, beta, b) for beta in (-0.5, 0.0, 0.5) for b in (1, 5, None)]
THEORIES = ["exact", "diagonal", "spectrally expressible"]


def inputs(n=20, d=6, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def kernel_data(x, outputs=1, seed=1):
    y = np.random.default_rng(seed).standard_normal((len(x), outputs))
    return LinearData.from_kernel(relu_ntk(x), y).normalized()


def one_feature_a_sample(seed=0):
    """Every sample has one non-zero eigenfeature, heavy-tailed; two outputs with residuals."""
    rng = np.random.default_rng(seed)
    x = np.zeros((40, 5))
    x[np.arange(40), np.arange(40) % 5] = rng.standard_t(4, 40)
    y = x @ rng.standard_normal((5, 2)) + 0.5 * rng.standard_normal((40, 2))
    return LinearData.from_features(x, y).normalized()


@pytest.mark.parametrize("noise_variance", [0.0, 0.4])
@pytest.mark.parametrize("setting", SETTINGS, ids=repr)
def test_the_three_theories_are_one_for_translation_invariant_data(setting, noise_variance):
    k = np.arange(1.0, 25.0)
    data = gf.data.translation_invariant(k**-1.5, k**-1.2, noise_variance=noise_variance)
    climb = ladder(data, setting, STEPS, THEORIES)
    assert np.allclose(climb.loss, climb.loss[0], rtol=1e-10, atol=0)


@pytest.mark.parametrize("setting", SETTINGS, ids=repr)
def test_diagonal_moments_are_exact_where_no_sample_mixes_modes(setting):
    data = one_feature_a_sample()
    exact = gf.predict(data, setting, STEPS, noise="exact").loss
    assert np.allclose(diagonal_loss(data, setting, 40)[STEPS], exact, rtol=1e-11, atol=0)


def test_there_tau1_and_tau2_are_not_enough():
    climb = ladder(one_feature_a_sample(), gf.SGD(0.4, 0.0, 1), STEPS, THEORIES)
    assert repr(climb).startswith("Ladder(exact = diagonal | spectrally expressible")
    assert climb.words[1].startswith("diagonal and spectrally expressible part at step")
    assert "fourth moments given by tau1 and tau2" in climb.words[1]


@pytest.mark.parametrize("b", [1, 4])
def test_the_first_step_of_the_diagonal_rung_is_its_definition(b):
    """One step from w_0 = 0 by sums over samples, with residuals: M, q and T of the docstring, gamma and beta."""
    rng = np.random.default_rng(3)
    data = LinearData.from_features(rng.standard_normal((30, 4)), rng.standard_normal((30, 2)))
    alpha, phi, eps, lam = 0.2, data.eigenfeatures, data.residuals, data.eigenvalues
    c = np.sum(data.coefficients**2, axis=1)
    square = phi**2 @ c + 2.0 * np.sum(eps * (phi @ data.coefficients), axis=1) + np.sum(eps**2, axis=1)
    noise = (30 - b) / (29 * b) * alpha**2 * (np.mean(phi**2 * square[:, None], axis=0) - lam**2 * c)
    expected = 0.5 * (lam @ ((1 - alpha * lam) ** 2 * c + noise) + data.noise_variance)
    assert diagonal_loss(data, gf.SGD(alpha, -0.6, b), 1)[1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("setting", [gf.SGD(0.3, -0.5, 2), gf.SGD(0.3, 0.5, 8)], ids=repr)
def test_the_mean_of_the_linearised_runs_is_exact(setting):
    rng = np.random.default_rng(5)
    data = LinearData.from_features(rng.standard_normal((30, 8)), rng.standard_normal(30)).normalized()
    climb = ladder(data, setting, [1, 5, 30], ["linearised", "exact"], replicas=400, relative=0.0, sigmas=3.0)
    (pair,) = climb.neighbours
    assert pair.agrees
    assert np.all(pair.sem > 0.0)


def hand_trained(x, y, w, a, method, factor, index):
    """The network by autograd and a hand-written momentum: losses on all data before each batch and at the end."""
    w, a = (torch.tensor(v, requires_grad=True) for v in (w, a))
    x, y = torch.tensor(x), torch.tensor(y)

    def g(inputs):
        return torch.relu(inputs @ w / inputs.shape[1] ** 0.5) @ a / len(a) ** 0.5

    start = g(x).detach()
    rate, beta = method.learning_rate * factor, method.momentum
    losses, velocity = [], [torch.zeros_like(w), torch.zeros_like(a)]
    for batch in [*index, None]:
        losses.append(float(((g(x) - start - y) ** 2).sum().detach()) / (2 * len(x)))
        if batch is None:
            return np.array(losses)
        loss = ((g(x[batch]) - start[batch] - y[batch]) ** 2).sum() / (2 * len(batch))
        for p, v, grad in zip((w, a), velocity, torch.autograd.grad(loss, (w, a)), strict=True):
            v.mul_(beta).sub_(rate * grad)
            p.data.add_(beta * v - rate * grad if isinstance(method, Nesterov) else v)


@pytest.mark.parametrize("method", [gf.SGD(0.7, -0.6, 3), gf.SGD(0.7, 0.8, 3), Nesterov(0.7, 0.8, 3)], ids=repr)
def test_the_network_is_trained_as_autograd_would(method):
    """Two outputs, large steps far from the linear regime, batches of the documented stream."""
    from genfun.experiments.simulation.batches import batches

    x = inputs()
    data = kernel_data(x, outputs=2)
    network = TwoLayerReLU(x, width=30, replicas=2, precision="float64")
    runs = network.train(data, method, np.arange(9), seed=4)
    for r in range(2):
        source = batches(np.random.default_rng(np.random.SeedSequence(4).spawn(2)[r]), 20, 3, False)
        drawn = np.random.default_rng([4, 1, r])
        w, a = drawn.standard_normal((6, 30)), drawn.standard_normal((30, 2))
        index = [next(source) for _ in range(8)]
        losses = hand_trained(x, np.array(data.targets), w, a, method, network.rate_factor(data), index)
        assert np.allclose(runs.loss[r], losses, rtol=1e-10, atol=0)


def test_the_rate_factor_undoes_the_scale_of_the_data():
    x = inputs()
    raw = LinearData.from_kernel(relu_ntk(x), np.ones(20))
    assert TwoLayerReLU(x).rate_factor(raw) == pytest.approx(1.0, rel=1e-12)
    assert TwoLayerReLU(x).rate_factor(raw.normalized()) == pytest.approx(1.0 / raw.eigenvalues[0], rel=1e-10)


@pytest.mark.slow
def test_the_network_is_its_own_linearisation_to_first_order():
    """Data from its own empirical kernel, full batch: of the fall of the loss, what is missed is of order the rate."""
    x, width = inputs(), 200
    drawn = np.random.default_rng([0, 1, 0])
    w, a = drawn.standard_normal((6, width)), drawn.standard_normal((width, 1))
    data = kernel_data(x)
    network = TwoLayerReLU(x, width=width, replicas=1, precision="float64")

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.a = (torch.nn.Parameter(torch.tensor(v)) for v in (w, a))

        def forward(self, inputs):
            return torch.relu(inputs @ self.w / 6**0.5) @ self.a / width**0.5

    model, samples = Model(), torch.as_tensor(x)
    # The data's targets are learned from f = 0, so from the model they are its outputs and those targets.
    own = LinearData.from_torch(model, samples, model(samples).detach() + torch.tensor(np.array(data.targets)))
    missed = []
    for rate in (1e-2, 1e-3):
        trained = network.train(data, gf.SGD(rate, -0.5), [0, 3]).loss[0]
        linear = gf.predict(own.problem, gf.SGD(rate * network.rate_factor(data), -0.5), [0, 3]).loss
        missed.append(abs((trained[1] - trained[0]) / (linear[1] - linear[0]) - 1.0))
    assert missed[0] < 0.01
    assert missed[1] == pytest.approx(missed[0] / 10, rel=0.1)


def test_a_replica_of_the_network_sees_the_batches_of_the_run_of_its_number():
    x = inputs()
    data = kernel_data(x)
    setting = gf.SGD(0.5, -0.3, 1)
    climb = ladder(data, setting, [1, 4], ["network", "linearised"], TwoLayerReLU(x, 4000, replicas=12), replicas=40)
    network, linear = climb["network"].runs, climb["linearised"].runs
    spread = linear.loss[:12].std(axis=0)
    apart = np.sqrt(np.mean((network.loss - linear.loss[:12]) ** 2, axis=0))
    assert np.all(apart < 0.1 * spread), "with other batches they would differ by sqrt(2) times the spread"
    (pair,) = climb.neighbours
    assert np.array_equal(pair.theory, linear.loss[:12].mean(axis=0))
    assert np.all(pair.sem < 0.1 * spread)


def test_a_narrow_network_parts_from_its_linearisation_and_a_wide_one_does_not():
    x = inputs()
    data = kernel_data(x)
    words = [
        ladder(
            data, gf.SGD(1.0, 0.0, 10), [0, 30], ["network", "exact"], TwoLayerReLU(x, m, replicas=8), relative=0.1
        ).words[0]
        for m in (10, 3000)
    ]
    assert words[0].startswith("network and exact part at step 30")
    assert "linearisation" in words[0]
    assert words[1].startswith("network and exact stay within 10 %")


def test_the_chunks_of_replicas_change_nothing(monkeypatch):
    x = inputs()
    data = kernel_data(x)
    network = TwoLayerReLU(x, width=50, replicas=3, precision="float64")
    whole = network.train(data, gf.SGD(0.5, 0.3, 2), [6]).loss
    monkeypatch.setattr("genfun.experiments.networks.network.STATE_BYTES", 1)
    assert np.allclose(network.train(data, gf.SGD(0.5, 0.3, 2), [6]).loss, whole, rtol=1e-12, atol=0)


def test_runs_that_blow_up_are_infinite_not_nan():
    x = inputs()
    data = kernel_data(x)
    setting = gf.SGD(50.0, 0.9, 1)
    assert np.isposinf(TwoLayerReLU(x, 50, 1).train(data, setting, [300]).loss).all()
    assert np.isposinf(diagonal_loss(data, setting, 2000)[-1])


def test_what_overflows_on_every_rung_parts_nowhere():
    x = inputs()
    climb = ladder(kernel_data(x), gf.SGD(50.0, 0.9, 1), [0, 300], network=TwoLayerReLU(x, 50, 2), replicas=4)
    assert np.isposinf(climb.loss[:, 1]).all()
    assert repr(climb).startswith(
        "Ladder(network ? linearised ? exact = measured = diagonal = spectrally expressible: loss inf"
    )


def test_few_runs_are_undecided_and_a_single_one_always():
    steps = np.array([1])
    one = Rung.from_runs("linearised", Runs(steps, np.array([[1.0]]), gf.SGD(0.1), 0))
    climb = Ladder((one, Rung("exact", steps, np.array([3.0]), np.zeros(1))), gf.SGD(0.1), 0.02, 2.5)
    assert climb.words[0] == "linearised and exact cannot be told apart from step 1 on: too few runs"
    assert "?" in repr(climb)


def test_few_networks_borrow_the_mean_of_many_linearised_runs():
    x = inputs()
    data = kernel_data(x)
    climb = ladder(
        data, gf.SGD(0.5, -0.3, 1), [0, 4], ["network", "linearised"], TwoLayerReLU(x, 2000, 6), replicas=300
    )
    network, linear = climb["network"], climb["linearised"]
    few, all_runs = network.runs.loss, linear.runs.loss
    assert np.allclose(network.loss, all_runs.mean(axis=0) + (few - all_runs[:6]).mean(axis=0), rtol=1e-14, atol=0)
    assert network.sem[1] == pytest.approx(np.hypot((few - all_runs[:6])[:, 1].std(ddof=1) / 6**0.5, linear.sem[1]))
    assert network.sem[1] < 0.5 * network.runs.sem[1]


@pytest.mark.slow
def test_the_measured_rung_stays_with_the_exact_one_where_the_diagonal_parts():
    """On digits close to the edge, where fourth moments of the diagonal alone are not enough."""
    digits = gf.data.mnist(60)
    rate = 0.8 * gf.max_learning_rate(digits, 0.0, 1)
    climb = ladder(digits, gf.SGD(rate, 0.0, 1), [10, 100], ["exact", "measured", "diagonal"])
    assert repr(climb).startswith("Ladder(exact = measured | diagonal: ")
    assert climb.loss[1] == pytest.approx(climb.loss[0], rel=0.01)
    assert "what fails is: diagonal second moments" in climb.words[1]


def test_what_has_overflowed_borrows_nothing():
    steps, m = np.array([1]), gf.SGD(0.1)
    network = Rung.from_runs("network", Runs(steps, np.array([[1.0], [2.0]]), m, 0))
    linear = Rung.from_runs("linearised", Runs(steps, np.array([[1.0], [np.inf], [2.0]]), m, 0))
    kept = steadied(network, linear)
    assert kept.loss == network.loss
    assert kept.sem == network.sem


def test_a_mean_carried_by_one_run_of_many_parts_from_nothing():
    """99 runs at 1 and one at 50: 1.49 +- 0.49 lies 3.1 standard errors below a true mean of 3, no proof."""
    steps, m = np.array([1]), gf.SGD(0.1)
    losses = np.ones((100, 1))
    losses[0] = 50.0
    rungs = (
        Rung.from_runs("linearised", Runs(steps, losses, m, 0)),
        Rung("exact", steps, np.array([3.0]), np.zeros(1)),
    )
    assert "cannot be told apart from step 1 on" in Ladder(rungs, m, 0.02, 2.5).words[0]


def test_runs_of_other_seeds_are_not_paired():
    data = kernel_data(inputs())
    first, second = (Rung.from_runs("linearised", simulate(data, gf.SGD(0.5, 0, 2), 3, 5, seed=s)) for s in (0, 1))
    mean, theory, sem = paired(first, second)
    assert np.array_equal(mean, first.loss)
    assert np.array_equal(theory, second.loss)
    assert np.allclose(sem, np.hypot(first.sem, second.sem))


def test_the_table_has_a_line_for_each_rung_and_step_and_the_words():
    climb = ladder(gf.data.mnist(20), gf.SGD(0.5, 0.0, 2), [1, 10], replicas=5)
    assert [rung.name for rung in climb.rungs] == list(ORDER[1:])
    lines = climb.table().splitlines()
    assert len(lines) == 1 + 5 * 2 + 4
    assert lines[-4:] == list(climb.words)
    assert climb.loss.shape == climb.sem.shape == (5, 2)
    assert climb["exact"].assumes.startswith("fresh batches")


def test_the_picture_shows_every_rung_named():
    from matplotlib.figure import Figure

    climb = ladder(gf.data.mnist(20), gf.SGD(0.5, 0.0, 2), [0, 1, 10], replicas=5)
    ax = climb.plot(Figure().subplots())
    assert [text.get_text() for text in ax.get_legend().texts] == list(ORDER[1:])
    line = next(line for line in ax.lines if line.get_label() == "exact")
    assert np.array_equal(line.get_ydata(), climb["exact"].loss[1:])
    errors = [row[3] for row in gf.plotting.table(ax) if row[1] == "linearised, standard error"]
    assert np.array_equal(errors, climb["linearised"].sem[1:])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rungs": ["simulated"]}, ValueError, "rungs must be some of network, linearised, .*got .'simulated'"),
        ({"rungs": []}, ValueError, "rungs must be some of"),
        ({"rungs": ["network"]}, ValueError, "network is None; pass e.g. network=TwoLayerReLU"),
        ({"data": gf.LinearProblem([1.0], [1.0])}, TypeError, "data must be a LinearData"),
        ({"steps": [-1]}, ValueError, "steps must be zero or positive"),
        ({"relative": -1.0}, ValueError, "relative must be zero or positive"),
    ],
)
def test_what_has_no_rung_is_refused_with_a_remedy(change, error, message):
    arguments = {"data": kernel_data(inputs()), "method": gf.SGD(0.1), "steps": [1], "rungs": ["exact"], **change}
    if error is TypeError:
        # The run-time check of the annotations speaks first under the tests.
        with pytest.raises(Exception, match="data"):
            ladder(**arguments)
        return
    with pytest.raises(error, match=message):
        ladder(**arguments)


def test_inputs_of_other_data_are_refused():
    with pytest.raises(ValueError, match=r"must hold the kernel of inputs.*from_kernel"):
        TwoLayerReLU(inputs(seed=9)).rate_factor(kernel_data(inputs()))
    with pytest.raises(ValueError, match="inputs has 19 samples but data has 20"):
        TwoLayerReLU(inputs(19)).rate_factor(kernel_data(inputs()))
    with pytest.raises(ValueError, match="precision must be one of 'float32', 'float64', got 'half'"):
        TwoLayerReLU(inputs(), precision="half")
    with pytest.raises(ValueError, match="inputs must be a finite array"):
        TwoLayerReLU([[np.nan]])
