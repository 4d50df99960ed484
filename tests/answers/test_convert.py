"""Conventions that are called the same walk the same path, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import genfun as gf
from genfun.answers.convert import Conversion, convert, from_sgd, to_sgd

DIMENSION, STEPS = 6, 200
RNG = np.random.default_rng(5)
BASIS = np.linalg.qr(RNG.normal(size=(DIMENSION, DIMENSION)))[0]
HESSIAN = BASIS @ np.diag(np.geomspace(0.01, 1.0, DIMENSION)) @ BASIS.T
START = RNG.normal(size=DIMENSION)
NOISE = 0.1 * RNG.normal(size=(STEPS, DIMENSION))
# Rounding: 200 steps, each of a few eps times the size of the numbers, amplified by at most 1/(1-0.95) = 20.
TOLERANCE = 1e-12


def gradient(w: np.ndarray, t: int) -> np.ndarray:
    return HESSIAN @ w + NOISE[t]


def walk(convention: str, settings: dict[str, Any], look_ahead: bool = False) -> np.ndarray:
    """The published update, line by line. look_ahead: Sutskever's w + m v in place of his w."""
    w, v, path = START.copy(), np.zeros(DIMENSION), []
    r = settings["lr"] if "lr" in settings else settings["learning_rate"]
    m, nesterov = settings["momentum"], settings.get("nesterov", False)
    for t in range(STEPS):
        if convention in ("paper", "keras"):
            g = gradient(w, t)
            v = m * v - r * g
            w = w + (m * v - r * g if nesterov else v)
        elif convention == "torch":
            g = gradient(w, t)
            v = g if t == 0 else m * v + (1.0 - settings["dampening"]) * g
            w = w - r * (g + m * v if nesterov else v if m != 0.0 else g)
        elif convention == "sutskever":
            v = m * v - r * gradient(w + m * v if nesterov else w, t)
            w = w + v
        else:
            g = gradient(w, t)
            v = m * v + (1.0 - m) * g
            nu = settings.get("nu", 1.0)
            w = w - r * ((1.0 - nu) * g + nu * v)
        path.append(w + m * v if look_ahead else w)
    return np.array(path)


def heavy_ball(sgd: gf.SGD, velocity: np.ndarray | None = None) -> np.ndarray:
    w, v, path = START.copy(), np.zeros(DIMENSION) if velocity is None else velocity, []
    for t in range(STEPS):
        v = sgd.momentum * v - sgd.learning_rate * gradient(w, t)
        w = w + v
        path.append(w)
    return np.array(path)


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a - b).max() < TOLERANCE * np.abs(b).max())


CONVENTIONS = ("paper", "torch", "keras", "sutskever", "ema", "qhm")


@pytest.mark.parametrize("momentum", [0.95, 0.5, 0.0, -0.4, -0.9])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_heavy_ball_has_the_same_iterates_in_every_convention(convention, momentum):
    sgd = gf.SGD(0.12, momentum)
    settings = from_sgd(sgd, convention)
    assert close(walk(convention, settings), heavy_ball(sgd))
    back = to_sgd(convention, **settings)
    assert (back.learning_rate, back.momentum) == (pytest.approx(0.12, rel=1e-15), momentum)
    # The tolerance tells settings apart: a rate 1e-9 off is seen.
    assert not close(walk(convention, settings), heavy_ball(gf.SGD(0.12 * (1 + 1e-9), momentum)))


@pytest.mark.parametrize("momentum", [0.9, 0.3, -0.4])
@pytest.mark.parametrize("source", ["torch", "keras", "qhm", "sutskever"])
@pytest.mark.parametrize("target", ["torch", "keras", "qhm", "sutskever"])
def test_nesterov_has_the_same_iterates_in_every_convention(source, target, momentum):
    keras = {"learning_rate": 0.12, "momentum": momentum, "nesterov": True}
    settings = convert(keras, "keras", source).settings
    result = convert(settings, source, target)
    a, b = walk(source, settings), walk(target, result.settings)
    assert close(a, b) == result.identical == ((source == "sutskever") == (target == "sutskever"))
    look_ahead = walk(target, result.settings, target == "sutskever")
    assert close(walk(source, settings, source == "sutskever"), look_ahead)
    assert not close(look_ahead, heavy_ball(gf.SGD(0.12, momentum)))


@pytest.mark.parametrize("source", [c for c in CONVENTIONS if c != "qhm"])
@pytest.mark.parametrize("target", CONVENTIONS)
def test_any_pair_of_conventions_agrees_on_the_heavy_ball(source, target):
    settings = from_sgd(gf.SGD(0.12, 0.8), source)
    result = convert(settings, source, target)
    assert isinstance(result, Conversion)
    assert result.identical
    assert close(walk(source, settings), walk(target, result.settings))


def test_quasi_hyperbolic_momentum_is_a_heavy_ball_only_for_nu_1():
    one = {"lr": 0.5, "momentum": 0.6, "nu": 1.0}
    assert to_sgd("qhm", **one) == gf.SGD(0.5 * 0.4, 0.6)
    assert close(walk("qhm", one), heavy_ball(to_sgd("qhm", **one)))
    for plain in ({"lr": 0.5, "momentum": 0.6, "nu": 0.0}, {"lr": 0.5, "momentum": 0.0, "nu": 0.7}):
        assert to_sgd("qhm", **plain) == gf.SGD(0.5, 0.0)
        assert close(walk("qhm", plain), heavy_ball(gf.SGD(0.5, 0.0)))
    with pytest.raises(ValueError, match=r"nu=0\.7 is no reparametrisation of the heavy ball"):
        to_sgd("qhm", lr=0.5, momentum=0.6, nu=0.7)


def test_nesterov_is_refused_as_a_heavy_ball_with_the_way_out():
    for convention, rate in (("torch", "lr"), ("keras", "learning_rate"), ("sutskever", "learning_rate")):
        with pytest.raises(ValueError, match=r"Nesterov momentum is no reparametrisation.*target='qhm'"):
            to_sgd(convention, **{rate: 0.1, "momentum": 0.9, "nesterov": True})
    assert to_sgd("keras", learning_rate=0.1, nesterov=True) == gf.SGD(0.1)  # no momentum: plain SGD


@pytest.mark.parametrize("momentum", [0.9, -0.4])
def test_dampening_differs_from_the_heavy_ball_by_a_kick_before_the_first_step(momentum):
    settings = {"lr": 0.3, "momentum": momentum, "dampening": 0.4, "nesterov": False}
    sgd = to_sgd("torch", **settings)
    assert (sgd.learning_rate, sgd.momentum) == (pytest.approx(0.18, rel=1e-15), momentum)
    path = walk("torch", settings)
    assert not close(path, heavy_ball(sgd))
    before = -0.3 * 0.4 * gradient(START, 0) / momentum
    assert close(path, heavy_ball(sgd, before))
    result = convert(settings, "torch", "keras")
    assert not result.identical
    assert "first step" in result.notes[0]


def test_dampening_without_momentum_is_ignored_as_torch_does():
    settings = {"lr": 0.3, "momentum": 0.0, "dampening": 0.4}
    assert to_sgd("torch", **settings) == gf.SGD(0.3)
    assert close(walk("torch", settings), heavy_ball(gf.SGD(0.3)))
    assert convert(settings, "torch").identical


def torch_path(torch: Any, settings: dict[str, Any]) -> np.ndarray:
    w = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    momentum = settings["momentum"]
    optimizer = torch.optim.SGD([w], **(settings | {"momentum": max(momentum, 0.0)}))
    optimizer.param_groups[0]["momentum"] = momentum
    path = []
    for t in range(STEPS):
        w.grad = torch.tensor(gradient(w.detach().numpy(), t), dtype=torch.float64)
        optimizer.step()
        path.append(w.detach().numpy().copy())
    return np.array(path)


@pytest.mark.slow
def test_torch_itself_walks_the_path():
    torch = pytest.importorskip("torch")
    for momentum in (0.9, 0.0, -0.4):
        sgd = gf.SGD(0.12, momentum)
        assert close(torch_path(torch, from_sgd(sgd, "torch")), heavy_ball(sgd))
    damped = {"lr": 0.3, "momentum": 0.9, "dampening": 0.4}
    kick = -0.3 * 0.4 * gradient(START, 0) / 0.9
    assert close(torch_path(torch, damped), heavy_ball(to_sgd("torch", **damped), kick))
    nesterov = {"lr": 0.12, "momentum": 0.9, "nesterov": True}
    assert close(torch_path(torch, nesterov), walk("qhm", convert(nesterov, "torch", "qhm").settings))
    with pytest.raises(ValueError, match="momentum"):
        torch.optim.SGD([torch.zeros(1)], lr=0.1, momentum=-0.4)


def test_notes_say_what_differs():
    assert convert({"learning_rate": 0.1}, "keras", "torch").notes == ()
    (schedule,) = convert({"learning_rate": 0.1, "momentum": 0.9}, "keras", "torch").notes
    assert "constant" in schedule
    notes = convert({"learning_rate": 0.1, "momentum": -0.3}, "paper", "torch").notes
    assert any("torch.optim.SGD refuses a negative momentum" in note for note in notes)
    assert any("param_groups" in note for note in notes)


def test_batch_goes_through():
    assert to_sgd("ema", 10, learning_rate=1, momentum=0.75) == gf.SGD(0.25, 0.75, 10)
    assert to_sgd("torch", batch_size=10, replacement=True, lr=1) == gf.SGD(1.0, 0.0, 10, True)


@pytest.mark.parametrize(
    ("convention", "settings", "error", "message"),
    [
        ("torch", {"learning_rate": 0.1}, ValueError, "torch has no setting 'learning_rate' here; pass lr"),
        ("torch", {"lr": 0.1, "weight_decay": 0.1}, ValueError, "no setting 'weight_decay'"),
        ("torch", {"momentum": 0.1}, ValueError, "lr is missing"),
        ("qhm", {"lr": 0.1, "momentum": 0.1}, ValueError, "nu is missing"),
        ("torch", {"lr": 0.0}, ValueError, "lr must be positive"),
        ("keras", {"learning_rate": 0.1, "momentum": 1.0}, ValueError, "momentum must lie strictly"),
        ("torch", {"lr": 0.1, "dampening": 1.0}, ValueError, "dampening must be below 1"),
        ("torch", {"lr": 0.1, "nesterov": True}, ValueError, "nesterov=True needs momentum"),
        ("torch", {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "nesterov": True}, ValueError, "dampening 0 in torch"),
        ("torch", {"lr": 0.1, "momentum": 0.9, "nesterov": 1}, TypeError, "nesterov must be True or False"),
    ],
)
def test_bad_settings_are_refused(convention, settings, error, message):
    with pytest.raises(error, match=message):
        convert(settings, convention)


def test_unknown_conventions_and_wrong_kinds_are_refused():
    with pytest.raises((ValueError, TypeError), match="convention"):
        from_sgd(gf.SGD(0.1), "caffe")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError):
        from_sgd(0.1, "torch")  # pyright: ignore[reportArgumentType]
