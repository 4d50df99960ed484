"""A torch model becomes the linear problem that its training is near its present parameters."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import genfun as gf
from genfun.data import LinearData, relu_ntk, torch_model

torch = pytest.importorskip("torch")
nn = torch.nn


def samples(n=20, d=5, outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    return torch.as_tensor(rng.standard_normal((n, d))), torch.as_tensor(rng.standard_normal((n, outputs)))


def mlp(d=5, width=16, outputs=1, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(d, width), nn.Tanh(), nn.Linear(width, outputs)).double()


def kernel_of(data):
    return data.eigenfeatures @ data.eigenfeatures.T


def gradient_kernel(model, x):
    """One backward pass a sample."""
    rows = []
    for sample in x:
        model.zero_grad()
        model(sample[None]).sum().backward()
        rows.append(torch.cat([p.grad.ravel() for p in model.parameters()]).numpy())
    model.zero_grad()
    return np.array(rows) @ np.array(rows).T


def train(parameters, loss, rate, beta, steps):
    """Heavy ball by hand, which takes momentum of either sign; the losses before each step and at the end."""
    velocity = [torch.zeros_like(p) for p in parameters]
    losses = []
    for _ in range(steps + 1):
        value = loss()
        losses.append(float(value.detach()))
        gradients = torch.autograd.grad(value, parameters)
        with torch.no_grad():
            for p, v, g in zip(parameters, velocity, gradients, strict=True):
                v.mul_(beta).sub_(rate * g)
                p.add_(v)
    return np.array(losses)


def test_the_kernel_is_that_of_single_gradients():
    model, (x, y) = mlp(), samples()
    data = LinearData.from_torch(model, x, y)
    assert np.allclose(kernel_of(data), gradient_kernel(model, x), rtol=0, atol=1e-11 * data.eigenvalues[0] * 20)


@pytest.mark.parametrize(("chunk", "memory_limit"), [(1, 0), (7, 0), (7, 7 * 113 * 8 * 2), (64, 0), (20, 1 << 30)])
def test_chunks_and_memory_change_nothing(chunk, memory_limit):
    model, (x, y) = mlp(), samples()
    whole = LinearData.from_torch(model, x, y)
    pieces = LinearData.from_torch(model, x, y, chunk=chunk, memory_limit=memory_limit)
    assert np.allclose(kernel_of(pieces), kernel_of(whole), rtol=0, atol=1e-11 * whole.eigenvalues[0] * 20)


def test_only_trained_parameters_count():
    model, (x, y) = mlp(), samples()
    model[0].requires_grad_(False)
    hidden = model[1](model[0](x)).detach().numpy()
    data = LinearData.from_torch(model, x, y)
    assert np.allclose(kernel_of(data), hidden @ hidden.T + 1.0, rtol=0, atol=1e-10)


def test_the_data_start_at_the_models_present_output():
    model, (x, y) = mlp(), samples()
    data = LinearData.from_torch(model, x, y)
    rest = (y - model(x)).detach().numpy()
    assert np.array_equal(data.targets, rest)
    assert 0.5 * data.signal.sum() == pytest.approx(np.sum(rest**2) / (2 * 20), rel=1e-12)


@pytest.mark.parametrize(("outputs", "beta"), [(1, -0.4), (3, 0.5)])
def test_training_the_last_layer_is_exactly_the_predicted_curve(outputs, beta):
    model, (x, y) = mlp(outputs=outputs), samples(outputs=outputs)
    data = LinearData.from_torch(model, x, y, kind="last_layer")
    hidden = model[1](model[0](x)).detach()
    losses = train(
        list(model[2].parameters()), lambda: ((model[2](hidden) - y) ** 2).sum() / (2 * len(x)), 0.3, beta, 25
    )
    assert np.allclose(gf.predict(data.problem, gf.SGD(0.3, beta), range(26)).loss, losses, rtol=1e-10, atol=0)


def test_a_slight_training_of_all_layers_follows_the_linearised_curve():
    """The linearisation is of first order: of a slope of the loss, what is missed falls with the learning rate."""
    x, y = samples()
    missed = []
    for rate in (1e-3, 1e-4):
        model = mlp()
        predicted = gf.predict(LinearData.from_torch(model, x, y).problem, gf.SGD(rate, -0.4), range(4)).loss
        losses = train(list(model.parameters()), lambda m=model: ((m(x) - y) ** 2).sum() / 40, rate, -0.4, 3)
        missed.append(abs((losses[3] - losses[0]) / (predicted[3] - predicted[0]) - 1.0))
    assert missed[0] < 0.05
    assert missed[1] == pytest.approx(missed[0] / 10, rel=0.1)


def test_the_learning_rate_of_torchs_mean_squared_error_is_as_documented():
    outputs = 3
    model, (x, y) = mlp(outputs=outputs), samples(outputs=outputs)
    data = LinearData.from_torch(model, x, y, kind="last_layer")
    hidden = model[1](model[0](x)).detach()
    optimizer, loss = torch.optim.SGD(model[2].parameters(), lr=0.2, momentum=0.5), nn.MSELoss()
    for _ in range(5):
        optimizer.zero_grad()
        loss(model[2](hidden), y).backward()
        optimizer.step()
    reached = float(loss(model[2](hidden), y).detach()) * outputs / 2
    assert gf.predict(data.problem, gf.SGD(0.2 * 2 / outputs, 0.5), 5).loss == pytest.approx(reached, rel=1e-10)


def test_one_kernel_for_all_outputs_is_accepted_where_it_is_one():
    x, y = samples(outputs=3)
    data = LinearData.from_torch(nn.Linear(5, 3).double(), x, y)
    assert data.n_outputs == 3
    assert np.allclose(kernel_of(data), (x @ x.T + 1.0).numpy(), rtol=0, atol=1e-11)


def test_outputs_with_kernels_of_their_own_are_refused_and_shared_only_on_demand():
    model, (x, y) = mlp(outputs=2), samples(outputs=2)
    with pytest.raises(ValueError, match=r"lies outside K x identity.*kind='last_layer'"):
        LinearData.from_torch(model, x, y)
    jacobians = []
    for o in (0, 1):
        jacobians.append(gradient_rows(model, x, o))
    blocks = np.array([[a @ b.T for b in jacobians] for a in jacobians])
    mean = (blocks[0, 0] + blocks[1, 1]) / 2
    rest = (blocks - np.eye(2)[:, :, None, None] * mean)[:, :, :18, :18]
    data = LinearData.from_torch(model, x, y, kind="ntk_shared", chunk=18)
    assert np.allclose(kernel_of(data), mean, rtol=0, atol=1e-11 * data.eigenvalues[0] * 20)
    assert any(
        f"{np.linalg.norm(rest) / np.linalg.norm(blocks[:, :, :18, :18]):.2g} of the tangent" in note
        for note in data.notes
    )


def gradient_rows(model, x, output):
    rows = []
    for sample in x:
        gradients = torch.autograd.grad(model(sample[None])[0, output], list(model.parameters()))
        rows.append(torch.cat([g.ravel() for g in gradients]).numpy())
    return np.array(rows)


def test_the_kernel_of_a_wide_relu_network_tends_to_the_analytic_one():
    """Fluctuations fall as width^(-1/2): 16 times wider is 4 times closer, within a factor 2 for 10 x 10 entries."""
    x, y = samples(10)

    class TwoLayer(nn.Module):
        def __init__(self, width):
            super().__init__()
            generator = torch.Generator().manual_seed(1)
            self.w = nn.Parameter(torch.randn(5, width, generator=generator, dtype=torch.float64))
            self.a = nn.Parameter(torch.randn(width, generator=generator, dtype=torch.float64))

        def forward(self, inputs):
            return torch.relu(inputs @ self.w / 5**0.5) @ self.a / len(self.a) ** 0.5

    limit = relu_ntk(x.numpy())
    errors = [
        np.linalg.norm(kernel_of(LinearData.from_torch(TwoLayer(m), x, y[:, 0])) - limit) / np.linalg.norm(limit)
        for m in (256, 4096)
    ]
    assert errors[1] < 0.04
    assert 2.0 < errors[0] / errors[1] < 8.0


def test_tensors_datasets_and_loaders_are_the_same_data():
    model, (x, y) = mlp(), samples()
    dataset = torch.utils.data.TensorDataset(x, y)
    inputs = x.numpy().copy()
    inputs.setflags(write=False)
    first = LinearData.from_torch(model, inputs, y.numpy(), kind="last_layer")
    for source in (dataset, torch.utils.data.DataLoader(dataset, batch_size=8)):
        other = LinearData.from_torch(model, source, kind="last_layer")
        assert np.allclose(other.signal, first.signal, rtol=1e-12, atol=0)


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1)).double()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x, y = samples()
    first, second = (kernel_of(LinearData.from_torch(model, x, y)) for _ in range(2))
    assert np.array_equal(first, second), "dropout was on"
    assert [m.training for m in model] == [True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_pre_hooks for m in model)


def test_single_precision_is_said():
    x, y = samples()
    data = LinearData.from_torch(mlp().float(), x, y)
    assert any("relative rounding 1.2e-07" in note for note in data.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "features"}, "kind must be one of 'ntk', 'ntk_shared', 'last_layer'"),
        ({"targets": None}, "targets is None; pass them"),
        ({"targets": torch.zeros(20, dtype=torch.int64)}, None),
        ({"targets": torch.zeros(20, 3)}, "shape of the model's outputs.*one_hot"),
        ({"targets": torch.zeros(19, 1)}, "one sample each"),
        ({"chunk": 0}, "chunk must be at least 1"),
        ({"model": nn.Sequential(nn.Linear(5, 1), nn.Sigmoid()).double(), "kind": "last_layer"}, "remove what follows"),
        ({"model": nn.Flatten()}, "no parameter with requires_grad"),
    ],
)
def test_what_makes_no_linear_problem_is_refused_with_a_remedy(change, message):
    x, y = samples()
    arguments = {"model": mlp(), "inputs": x, "targets": y, **change}
    if message is None:
        assert LinearData.from_torch(**arguments).n_outputs == 1
        return
    with pytest.raises(ValueError, match=message):
        LinearData.from_torch(**arguments)


def test_a_kernel_of_hours_is_refused_and_its_remedy_gives_the_same_problem(monkeypatch):
    (x, y), model = samples(), mlp()
    work = len(x) ** 2 * sum(p.numel() for p in model.parameters())
    monkeypatch.setitem(torch_model.PRODUCTS_ONLY, "cpu", work)
    whole = LinearData.from_torch(model, x, y).problem
    monkeypatch.setitem(torch_model.PRODUCTS_ONLY, "cpu", work - 1)
    with pytest.raises(ValueError, match=r"multiplications; use gf\.LinearProblem\.from_operator\(K, targets - K") as e:
        LinearData.from_torch(model, x, y)
    remedy = str(e.value).partition("use ")[2].partition(", which")[0]
    call, _, operator = remedy.partition(" with K = ")
    K = eval(operator, {"gf": gf, "model": model, "inputs": x})
    problem = eval(call, {"gf": gf, "K": K, "targets": y.numpy(), "n": len(x)})
    assert np.isclose(problem.lambda_max, whole.lambda_max, rtol=1e-9)
    assert np.isclose(problem.signal_total + problem.noise_variance, whole.signal_total + whole.noise_variance)


def test_a_model_of_another_kind_is_a_type_error():
    with pytest.raises(TypeError, match=r"torch\.nn\.Module, got function"):
        LinearData.from_torch(lambda x: x, *samples())


def test_without_torch_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"genfun\[experiments\]"):
        LinearData.from_torch(None, None)
