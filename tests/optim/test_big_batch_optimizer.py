"""Big Batch SGD for torch: the optimizer against its formulas written out in NumPy."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from big_batch_by_hand import written_out

from genfun.optim import BigBatchSGD

N, D = 120, 5


def regression(seed: int = 0, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, D)) * np.arange(1.0, D + 1.0) ** -0.7
    return x, x @ np.ones(D) + 0.3 * rng.standard_normal(n)


def linear(x: np.ndarray, y: np.ndarray, seed: int, **arguments: Any) -> BigBatchSGD:
    model = torch.nn.Linear(x.shape[1], 1, bias=False, dtype=torch.float64)
    torch.nn.init.zeros_(model.weight)
    data = (torch.tensor(x), torch.tensor(y)[:, None])
    generator = torch.Generator().manual_seed(seed)
    return BigBatchSGD(model, torch.nn.MSELoss(), data, generator=generator, **arguments)


def weights(optimizer: BigBatchSGD) -> np.ndarray:
    return optimizer.param_groups[0]["params"][0].detach().numpy().ravel().copy()


@pytest.mark.parametrize("search", ["none", "armijo", "bb"])
@pytest.mark.parametrize("debiased", [False, True])
@pytest.mark.parametrize(("theta", "first"), [(0.5, 8), (0.9, 1)])
def test_batches_rates_and_weights_are_those_of_the_formulas(search, debiased, theta, first):
    x, y = regression()
    lr = 0.2 if search == "none" else 3.0
    optimizer = linear(
        x, y, 3, lr=lr, theta=theta, batch_size=first, line_search=search, debiased=debiased, tolerance=0.0
    )
    for _ in range(12):
        optimizer.step()
    rows, w = written_out(x, y, 3, 12, lr, theta, search, debiased, first)
    found = [(r.batch_size, r.learning_rate, r.loss) for r in optimizer.history]
    np.testing.assert_allclose(found, rows, rtol=1e-9)
    np.testing.assert_allclose(weights(optimizer), w, rtol=1e-9)
    assert rows[-1, 0] > rows[0, 0] >= first
    assert optimizer.evaluations == rows[:, 0].sum()


@pytest.mark.parametrize("search", ["none", "armijo", "bb"])
def test_no_rate_needs_to_be_set_and_training_stops_by_itself(search):
    x, y = regression()
    optimizer = linear(x, y, 0, line_search=search, theta=0.5, tolerance=1e-4)
    for _ in range(500):
        optimizer.step()
        if optimizer.finished:
            break
    assert optimizer.status == "converged"
    assert optimizer.batch_size == N
    sizes = [r.batch_size for r in optimizer.history]
    assert sizes == sorted(sizes)
    assert len(sizes) < 500
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    hessian, first = 2 * x.T @ x / N, optimizer.history[0].squared_gradient ** 0.5
    # |w - w*| <= |grad L|/lambda_min, with the gradient below the tolerance.
    assert np.linalg.norm(weights(optimizer) - best) <= 1e-4 * first / np.linalg.eigvalsh(hessian)[0]
    if search == "none":
        # Measured on all samples first (power iteration ends at changes of 1 %), then lowered on sharper batches.
        rates = [r.learning_rate for r in optimizer.history]
        full = 0.75 / np.linalg.eigvalsh(hessian)[-1]
        assert linear(x, y, 0, line_search=search).learning_rate == pytest.approx(full, rel=0.03)
        assert rates == sorted(rates, reverse=True)
        assert 0.5 * full < rates[-1] < 1.03 * full


def test_the_derived_rate_follows_a_loss_that_grows_sharper():
    # f = (exp(2 w) - 4)^2/2: the curvature at w = 1/2 is a quarter of that at the minimum.
    class Exponential(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

        def forward(self, x):
            return torch.exp(2 * self.w) * x

    data = (torch.ones(20, 1, dtype=torch.float64), torch.full((20, 1), 4.0, dtype=torch.float64))
    optimizer = BigBatchSGD(
        Exponential(), lambda a, b: (a - b).square().mean() / 2, data, line_search="none", batch_size=20
    )
    first = optimizer.learning_rate
    for _ in range(300):
        optimizer.step()
    assert optimizer.status == "converged"
    assert optimizer.learning_rate <= min(first, 0.76 / 64.0)  # f'' = (2 exp(2 w))^2 = 64 at the minimum


def test_a_finished_optimizer_no_longer_moves():
    x, y = regression()
    optimizer = linear(x, y, 0, line_search="bb", tolerance=0.5)
    while not optimizer.finished:
        optimizer.step()
    w = weights(optimizer)
    optimizer.step()
    np.testing.assert_array_equal(weights(optimizer), w)


def test_too_large_a_fixed_rate_is_said_to_diverge():
    x, y = regression()
    optimizer = linear(x, y, 0, lr=1e60, line_search="none")
    for _ in range(20):
        optimizer.step()
    assert optimizer.status == "diverged"


def test_no_further_decrease_of_the_full_loss_is_said_to_be_a_stall():
    x, y = regression()
    optimizer = linear(x, y, 0, line_search="armijo", tolerance=0.0)
    for _ in range(2000):
        optimizer.step()
        if optimizer.finished:
            break
    assert optimizer.status == "stalled"


def convolutional() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(1, 3, 3, stride=2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(27, 4))
    return torch.nn.Sequential(*layers)


def test_the_test_sees_the_gradients_of_single_samples_of_a_network():
    torch.manual_seed(1)
    x, y = torch.randn(12, 1, 8, 8), torch.randint(0, 4, (12,))
    model, criterion = convolutional(), torch.nn.CrossEntropyLoss()
    each = []
    for i in range(12):
        grads = torch.autograd.grad(criterion(model(x[i : i + 1]), y[i : i + 1]), list(model.parameters()))
        each.append(torch.cat([g.ravel() for g in grads]).double())
    g = torch.stack(each)
    for chunk in (None, 5):
        optimizer = BigBatchSGD(copy.deepcopy(model), criterion, (x, y), batch_size=12, chunk_size=chunk)
        optimizer.step()
        assert optimizer.history[0].variance == pytest.approx(g.var(dim=0).sum().item(), rel=1e-5)
        assert optimizer.history[0].squared_gradient == pytest.approx(g.mean(dim=0).square().sum().item(), rel=1e-5)


def test_tensors_datasets_and_functions_are_one_source():
    torch.manual_seed(1)
    x, y = torch.randn(40, 1, 8, 8), torch.randint(0, 4, (40,))
    found = []
    for samples, count in (((x, y), None), (torch.utils.data.TensorDataset(x, y), 40), (lambda i: (x[i], y[i]), 40)):
        generator = torch.Generator().manual_seed(0)
        optimizer = BigBatchSGD(
            convolutional(), torch.nn.CrossEntropyLoss(), samples, count, lr=0.1, generator=generator
        )
        found.append([optimizer.step() for _ in range(3)])
    assert found[0] == found[1] == found[2]


def test_frozen_parameters_stay():
    model = convolutional()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    x, y = torch.randn(20, 1, 8, 8), torch.randint(0, 4, (20,))
    optimizer = BigBatchSGD(model, torch.nn.CrossEntropyLoss(), (x, y))
    optimizer.step()
    assert torch.equal(model[0].weight, before)
    assert len(optimizer.param_groups[0]["params"]) == 2


@pytest.mark.parametrize("search", ["none", "armijo", "bb"])
def test_a_saved_state_continues_to_the_last_bit(search):
    x, y = regression()
    whole = linear(x, y, 5, line_search=search, theta=0.9)
    for _ in range(3):
        whole.step()
    half = linear(x, y, 99, line_search=search, lr=7.0, theta=0.3)
    with torch.no_grad():
        half.param_groups[0]["params"][0].copy_(torch.tensor(weights(whole)))
    half.load_state_dict(copy.deepcopy(whole.state_dict()))
    for _ in range(3):
        assert whole.step() == half.step()
    assert whole.history == half.history
    np.testing.assert_array_equal(weights(whole), weights(half))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"theta": 1.2}, ValueError, "theta must be at most 1"),
        ({"theta": 0.0}, ValueError, "theta must be positive"),
        ({"lr": -1.0}, ValueError, "lr must be positive"),
        ({"line_search": "wolfe"}, ValueError, "line_search must be one of"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"n_samples": 7}, ValueError, "n_samples must be 120"),
        ({"theta": 1.0, "line_search": "none"}, ValueError, "lr cannot be derived"),
    ],
)
def test_bad_arguments_of_the_optimizer_are_refused(arguments, error, message):
    x, y = regression()
    with pytest.raises(error, match=message):
        linear(x, y, 0, **arguments)


@pytest.mark.parametrize("generator", [None, 5])
def test_a_saved_state_loads_with_the_defaults_of_torch(generator, tmp_path):
    x, y = regression()
    whole = linear(x, y, 5, theta=0.9)
    if generator is None:
        whole.generator = None
    for _ in range(3):
        whole.step()
    torch.save(whole.state_dict(), tmp_path / "state.pt")
    half = linear(x, y, 99)
    half.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert half.history == whole.history
    assert half.history[0].batch_size == 10


@pytest.mark.parametrize("how", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
@pytest.mark.parametrize("search", ["none", "armijo", "bb"])
def test_a_copy_goes_on_by_itself_with_a_model_of_its_own(search, how):
    x, y = regression()
    whole = linear(x, y, 5, line_search=search, theta=0.9)
    whole.step()
    twin = how(whole)
    after = weights(whole)
    ahead = [twin.step() for _ in range(4)]
    np.testing.assert_array_equal(weights(whole), after)  # the copy has not moved the original
    assert [whole.step() for _ in range(4)] == ahead
    np.testing.assert_array_equal(weights(whole), weights(twin))
    assert twin.history == whole.history


def test_a_copy_together_with_its_model_trains_that_copy():
    x, y = regression()
    optimizer = linear(x, y, 5)
    model, twin = copy.deepcopy((optimizer._gradients.model, optimizer))
    before = model.weight.detach().clone()
    twin.step()
    assert not torch.equal(model.weight, before)
    assert not weights(optimizer).any()


@pytest.mark.parametrize("search", ["none", "armijo", "bb"])
@pytest.mark.parametrize("debiased", [False, True])
def test_a_first_batch_without_a_gradient_grows_and_training_ends(search, debiased):
    # A squared hinge: 380 of 400 samples keep their margin at the start, among them the first ten drawn.
    rng = np.random.default_rng(0)
    x = np.hstack([np.ones((400, 1)), 0.1 * rng.standard_normal((400, 4))])
    x[:20, 0], x[:20, 1] = 0.0, 1.0
    model = torch.nn.Linear(5, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, 0.0, 0.0, 0.0, 0.0]]))
    data = (torch.tensor(x), torch.ones(400, 1, dtype=torch.float64))
    optimizer = BigBatchSGD(
        model,
        lambda a, b: (b - a).clamp(min=0.0).square().mean(),
        data,
        lr=2.0,
        line_search=search,
        debiased=debiased,
        generator=torch.Generator().manual_seed(0),
    )
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    assert (order[:10] >= 20).all()
    for _ in range(5000):
        optimizer.step()
        if optimizer.finished:
            break
    assert optimizer.status == "converged"
    assert optimizer.history[0].squared_gradient > 0.0
    # Converged on all samples: a thousandth of the first step's gradient.
    output = torch.tensor(x) @ model.weight.detach().T
    gradient = (-2.0 * (1.0 - output).clamp(min=0.0) * torch.tensor(x)).mean(dim=0)
    assert float(gradient.square().sum()) <= 1e-6 * optimizer.history[0].squared_gradient


@pytest.mark.parametrize("search", ["none", "armijo", "bb"])
def test_no_gradient_at_all_is_converged_in_one_step(search):
    x = np.ones((30, 1))
    optimizer = linear(x, np.zeros(30), 0, lr=0.1, line_search=search, tolerance=0.0)
    assert optimizer.step() == 0.0
    assert (optimizer.status, optimizer.batch_size) == ("converged", 30)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (lambda i: (torch.ones(len(i) + 1, 2), torch.ones(len(i) + 1, 1)), ValueError, "samples gave inputs of shape"),
        (lambda i: (torch.ones(len(i), 2), torch.ones(len(i) + 1, 1)), ValueError, "samples gave targets of shape"),
        (lambda i: (torch.ones(len(i) - 1, 2), torch.ones(len(i) - 1, 1)), ValueError, "one row for each number"),
        (lambda i: (torch.ones(len(i), 2),), TypeError, "pairs .*got 1 parts"),
        (lambda i: torch.ones(len(i), 2), TypeError, "pairs .*got Tensor"),
        (lambda i: (np.ones((len(i), 2)), torch.ones(len(i), 1)), TypeError, "inputs of type ndarray"),
    ],
)
@pytest.mark.parametrize("search", ["none", "bb"])
def test_a_source_must_give_the_samples_asked_for(batch, error, message, search):
    with pytest.raises(error, match=message):
        BigBatchSGD(torch.nn.Linear(2, 1), torch.nn.MSELoss(), batch, 30, line_search=search).step()


def test_bad_sources_and_closures_are_refused():
    model, criterion = torch.nn.Linear(2, 1), torch.nn.MSELoss()
    with pytest.raises(ValueError, match="n_samples is needed"):
        BigBatchSGD(model, criterion, lambda i: (i, i))
    with pytest.raises(ValueError, match="as many inputs as targets"):
        BigBatchSGD(model, criterion, (torch.ones(3, 2), torch.ones(4, 1)))
    with pytest.raises(TypeError, match="samples must be a pair"):
        BigBatchSGD(model, criterion, 3)
    optimizer = BigBatchSGD(model, criterion, (torch.ones(3, 2), torch.ones(3, 1)))
    with pytest.raises(TypeError, match="no closure"):
        optimizer.step(lambda: 1.0)
    with pytest.raises(ValueError, match="one group"):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
