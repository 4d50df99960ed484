"""One vjp and one jvp a product give the tangent kernel that single gradients give."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.data import LinearData, torch_operator

torch = pytest.importorskip("torch")
nn = torch.nn


def conv_net(outputs, seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, outputs)
    ).double()
    return net


def samples(n, outputs, seed=0):
    rng = np.random.default_rng(seed)
    return torch.as_tensor(rng.standard_normal((n, 1, 8, 8))), torch.as_tensor(rng.standard_normal((n, outputs)))


def jacobian(model, x):
    """One backward pass an output of a sample."""
    model.eval()
    rows = []
    for out in model(x).ravel():
        rows.append(
            torch.cat([g.ravel() for g in torch.autograd.grad(out, list(model.parameters()), retain_graph=True)])
        )
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("outputs", [1, 3])
def test_products_are_those_of_single_gradients(outputs):
    model, (x, _) = conv_net(outputs), samples(11, outputs)
    J, v = jacobian(model, x), np.random.default_rng(1).standard_normal(11 * outputs)
    wanted = J @ (J.T @ v) / 11
    for chunk in (4, 11, 100):
        assert np.allclose(torch_operator(model, x, chunk=chunk).matvec(v), wanted, rtol=1e-11, atol=1e-13)


def test_the_loss_of_a_conv_net_is_that_of_its_exact_kernel():
    model, (x, y) = conv_net(1), samples(40, 1)
    K = torch_operator(model, x, chunk=16)
    p = gf.LinearProblem.from_operator(K, y.numpy() - K.start, n_samples=40)
    q = LinearData.from_torch(model, x, y).problem
    method, steps = gf.SGD(0.5 / q.lambda_max, 0.3, batch_size=8), [0, 10, 100, 1000]
    assert np.allclose(gf.predict(p, method, steps).loss, gf.predict(q, method, steps).loss, rtol=0.02)
    full = gf.SGD(0.5 / q.lambda_max, 0.3)
    assert np.allclose(gf.predict(p, full, steps).loss, gf.predict(q, full, steps).loss, rtol=1e-8)


def test_coupled_outputs_keep_the_mean_of_the_linearised_model():
    model, (x, y) = conv_net(3), samples(20, 3)
    K, J = torch_operator(model, x), jacobian(model, x)
    p = gf.LinearProblem.from_operator(K, y.numpy() - K.start, n_samples=20, lanczos_steps=60)
    H, r = J @ J.T / 20, (y.numpy() - K.start).ravel()
    rate, losses = 0.8 / np.linalg.eigvalsh(H)[-1], []
    for _ in range(201):
        losses.append(0.5 * r @ r / 20)
        r = r - rate * H @ r
    assert np.allclose(gf.predict(p, gf.SGD(rate), [0, 20, 200]).loss, [losses[0], losses[20], losses[200]], rtol=1e-8)


def test_the_model_is_left_as_it_was_and_frozen_parameters_stay_out():
    model, (x, _) = conv_net(1), samples(6, 1)
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    K = torch_operator(model, x)
    v = np.ones(6)
    got = K.matvec(v)
    assert model.training
    assert all(m.training for m in model.modules())
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    J = jacobian(model, x)[:, 40:]
    assert np.allclose(got, J @ (J.T @ v) / 6, rtol=1e-11)


def test_single_precision_says_so():
    model, (x, y) = conv_net(1).float(), samples(30, 1)
    K = torch_operator(model, x)
    p = gf.LinearProblem.from_operator(K, y.numpy() - K.start, n_samples=30)
    assert any("rounding" in note for note in p.notes)


@pytest.mark.parametrize(
    ("model", "x", "kind", "text"),
    [
        (3, np.ones((2, 2)), TypeError, "torch.nn.Module"),
        (nn.Flatten(), np.ones((2, 2)), ValueError, "requires_grad"),
        (nn.Linear(2, 1), np.float64(1.0), ValueError, "at least one sample"),
        (nn.Linear(2, 1), np.ones((2, 3, 2)), ValueError, "must return"),
    ],
)
def test_bad_input_is_refused(model, x, kind, text):
    with pytest.raises(kind, match=text):
        torch_operator(model, x)


@pytest.mark.parametrize("outputs", [1, 3])
def test_blocks_of_samples_are_those_of_single_gradients(outputs):
    model, (x, _) = conv_net(outputs), samples(11, outputs)
    J = jacobian(model, x).reshape(11, outputs, -1)
    wanted = np.einsum("iap,ibp->iab", J, J) / 11
    for chunk in (4, 100):
        assert np.allclose(torch_operator(model, x, chunk=chunk).sample_blocks(), wanted, rtol=1e-11, atol=1e-13)
    problem = gf.LinearProblem.from_operator(torch_operator(model, x), np.ones((11, outputs)), n_samples=11)
    assert np.isclose(problem.trace, np.sum(J**2) / 11 / outputs, rtol=1e-11)
