"""genfun.optim.SGD: torch's own optimizer where torch has one, and the theory's update for negative momentum."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

import genfun as gf
from genfun.optim import SGD

VARIANTS = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.7, "dampening": 0.3, "weight_decay": 0.1},
    {"momentum": 0.5, "maximize": True, "weight_decay": 0.01},
    {"momentum": 0.9, "lr": torch.tensor(0.03)},
]
WAYS = [{"foreach": True}, {"foreach": False}, {"fused": True}]


def model(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))


def train(net: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: int = 6, seed: int = 1, scheduler=None):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        x = torch.randn(8, 5, generator=generator)

        def closure(x: torch.Tensor = x) -> torch.Tensor:
            optimizer.zero_grad()
            loss = net(x).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)
        if scheduler is not None:
            scheduler.step()


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: ",".join(v) or "plain")
def test_with_momentum_of_torchs_sign_every_bit_is_torchs(variant, way):
    mine, theirs = model(), model()
    train(mine, SGD(mine.parameters(), **{"lr": 0.05} | variant | way))
    train(theirs, torch.optim.SGD(theirs.parameters(), **{"lr": 0.05} | variant | way))
    assert same(mine, theirs)


@pytest.mark.parametrize("beta", [-0.9, -0.4, 0.0, 0.6])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_steps_are_those_of_the_theory(beta, way):
    lam, start = np.array([1.0, 0.3, 0.01]), np.array([1.0, -2.0, 3.0])
    setting = gf.SGD(0.8 * (1 + beta), beta)
    w = torch.nn.Parameter(torch.tensor(start))
    optimizer = SGD([w], lr=setting.learning_rate, momentum=beta, **way)
    losses = []
    for _ in range(21):
        loss = (torch.tensor(lam) * w**2).sum() / 2
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    theory = gf.predict(gf.LinearProblem(lam, lam * start**2), setting, np.arange(21)).loss
    np.testing.assert_allclose(losses, theory, rtol=1e-12)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("nesterov", [False, True])
def test_negative_momentum_follows_torchs_formula_to_the_last_bit(way, nesterov):
    w = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = SGD([w], lr=0.25, momentum=-0.5, weight_decay=0.125, nesterov=nesterov, **way)
    x, buffer = w.detach().clone(), None
    for _ in range(4):
        w.grad = w.detach().clone()
        optimizer.step()
        g = x * 1.125
        buffer = g if buffer is None else -0.5 * buffer + g
        x = x - 0.25 * (g - 0.5 * buffer if nesterov else buffer)
    assert torch.equal(w.detach(), x)  # every factor is a power of 2, or 9/8


def test_groups_have_momenta_of_their_own_and_inherit_the_default():
    a, b, c = (torch.nn.Parameter(torch.ones(1)) for _ in range(3))
    optimizer = SGD([{"params": [a]}, {"params": [b], "momentum": 0.3}], lr=0.1, momentum=-0.6)
    optimizer.add_param_group({"params": [c]})
    assert [group["momentum"] for group in optimizer.param_groups] == [-0.6, 0.3, -0.6]
    assert optimizer.defaults["momentum"] == -0.6


@pytest.mark.parametrize("beta", [-0.5, 0.5])
def test_a_state_saved_in_the_middle_continues_to_the_last_bit(beta):
    whole, half = model(), model()
    train(whole, first := SGD(whole.parameters(), lr=0.05, momentum=beta))
    train(half, SGD(half.parameters(), lr=0.05, momentum=beta))
    other = copy.deepcopy(half)
    second = SGD(other.parameters(), lr=1.0)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(whole, first, seed=2)
    train(other, second, seed=2)
    assert same(whole, other)


@pytest.mark.parametrize(("source", "target"), [(SGD, torch.optim.SGD), (torch.optim.SGD, SGD)])
def test_states_move_between_torchs_optimizer_and_this_one(source, target):
    a, b = model(), model()
    train(a, first := source(a.parameters(), lr=0.05, momentum=0.8))
    train(b, source(b.parameters(), lr=0.05, momentum=0.8))
    second = target(b.parameters(), lr=1.0)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(a, first, seed=2)
    train(b, second, seed=2)
    assert same(a, b)


def test_a_pickled_optimizer_keeps_its_momentum():
    w = torch.nn.Parameter(torch.ones(1))
    again = pickle.loads(pickle.dumps(SGD([w], lr=0.1, momentum=-0.6)))
    again.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
    assert [group["momentum"] for group in again.param_groups] == [-0.6, -0.6]


@pytest.mark.parametrize("beta", [-0.5, 0.5])
def test_schedulers_turn_the_rate(beta):
    mine, theirs = model(), model()
    optimizer = SGD(mine.parameters(), lr=0.1, momentum=beta)
    train(mine, optimizer, scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-12)
    if beta > 0.0:
        reference = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=beta)
        train(theirs, reference, scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(reference, 6))
        assert same(mine, theirs)


@pytest.mark.parametrize("beta", [-0.5, 0.5])
@pytest.mark.parametrize("foreach", [False, True])
def test_sparse_gradients_give_the_dense_steps(beta, foreach):
    dense, sparse = (torch.nn.Embedding(4, 2, sparse=kind) for kind in (False, True))
    sparse.load_state_dict(dense.state_dict())
    for net in (dense, sparse):
        optimizer = SGD(net.parameters(), lr=0.5, momentum=beta, foreach=foreach)
        for _ in range(3):
            optimizer.zero_grad()
            net(torch.tensor([0, 2])).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(dense.weight, sparse.weight, rtol=1e-6, atol=1e-7)


def test_gradients_flow_through_the_step_with_negative_momentum():
    start = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    w = start.clone()
    optimizer = SGD([w], lr=0.5, momentum=-0.5, differentiable=True)
    for _ in range(2):
        w.grad = w.detach() * 1.0
        optimizer.step()
    (slope,) = torch.autograd.grad(w.sum(), start)
    assert slope.item() == 1.0


@pytest.mark.parametrize("momentum", [-1.0, 1.0, 1.5, float("nan")])
def test_momenta_outside_the_interval_are_refused_in_words(momentum):
    w = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="momentum must"):
        SGD([w], momentum=momentum)
    with pytest.raises(ValueError, match="momentum must"):
        SGD([{"params": [w], "momentum": momentum}])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"lr": -1.0}, "learning rate"), ({"momentum": -0.5, "nesterov": True, "dampening": 0.1}, "Nesterov")],
)
def test_torch_refuses_what_it_always_did(arguments, message):
    with pytest.raises(ValueError, match=message):
        SGD([torch.nn.Parameter(torch.ones(1))], **arguments)
    with pytest.raises(ValueError, match="nesterov=True needs"):
        SGD([{"params": [torch.nn.Parameter(torch.ones(1))], "momentum": 0.0}], momentum=-0.5, nesterov=True)
    with pytest.raises(TypeError):
        SGD([torch.nn.Parameter(torch.ones(1))], momentum="0.9")  # pyright: ignore[reportArgumentType]


def test_without_torch_the_message_names_the_extra():
    code = "import sys; sys.modules['torch'] = None\ntry:\n import genfun.optim\nexcept ImportError as e: print(e)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'pip install "genfun[experiments]"' in said
