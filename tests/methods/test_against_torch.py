"""Runs of torch's own optimizer and averages on real digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import genfun as gf

torch = pytest.importorskip("torch")

RUNS, STEPS, BATCH = 300, np.array([1, 3, 10, 30, 100, 200]), 10


@pytest.fixture(scope="module")
def data() -> gf.LinearData:
    digits = gf.data.mnist(200, seed=1, model="pixels")
    return gf.LinearData.from_features(digits.eigenfeatures[:, :20], digits.targets).normalized()


def run(data: gf.LinearData, options: dict[str, Any], average: Any = None) -> Any:
    """Losses (RUNS, steps) of the weights, or of their average; every run is a row of one parameter."""
    phi, y = (torch.from_numpy(np.array(x)) for x in (data.eigenfeatures, data.targets[:, 0]))
    model = torch.nn.ParameterList([torch.zeros(RUNS, phi.shape[1], dtype=torch.float64)])
    w, rng = model[0], np.random.default_rng(3)
    optimizer = torch.optim.SGD(model.parameters(), **options)
    shown: Any = model if average is None else average(model)
    found = []
    for t in range(1, int(STEPS[-1]) + 1):
        rows = torch.from_numpy(np.argsort(rng.random((RUNS, y.shape[0])), axis=1)[:, :BATCH].copy())
        optimizer.zero_grad()
        residual = torch.einsum("rbk,rk->rb", phi[rows], w) - y[rows]
        (0.5 * residual**2).mean(dim=1).sum().backward()
        optimizer.step()
        if average is not None:
            shown.update_parameters(model)
        if t in STEPS:
            weights = next(iter(shown.parameters())).detach()
            found.append((0.5 * (weights @ phi.T - y) ** 2).mean(dim=1).numpy())
    return np.stack(found, axis=1)


def assert_mean(losses: Any, predicted: Any) -> None:
    sem = losses.std(axis=0, ddof=1) / np.sqrt(RUNS)
    np.testing.assert_array_less(np.abs(losses.mean(axis=0) - predicted), 0.02 * predicted + 2.5 * sem)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("beta", "options"),
    [
        (0.9, {"nesterov": True}),
        (0.9, {"dampening": 0.9}),
        (0.5, {"weight_decay": 0.05}),
        (0.9, {"nesterov": True, "weight_decay": 0.02}),
    ],
    ids=str,
)
def test_torchs_optimizer_has_the_predicted_mean_loss(data: gf.LinearData, beta: float, options: dict) -> None:
    shape = gf.SGD(1.0, beta, BATCH, **options)
    rate = 0.3 * gf.max_learning_rate(data, method=shape)
    losses = run(data, {"lr": rate, "momentum": beta, **options})
    assert_mean(losses, gf.predict(data, gf.SGD(rate, beta, BATCH, **options), STEPS).loss)
    without = {k: v for k, v in options.items() if k == "nesterov"}
    if without != options:  # the test can tell the option from none
        with pytest.raises(AssertionError):
            assert_mean(losses, gf.predict(data, gf.SGD(rate, beta, BATCH, **without), STEPS).loss)


@pytest.mark.parametrize("noise", ["measured", "exact"])
def test_nesterov_under_the_datas_own_noise(data: gf.LinearData, noise: Any) -> None:
    rate = 0.3 * gf.max_learning_rate(data, noise=noise, method=gf.SGD(1.0, 0.9, BATCH, nesterov=True))
    losses = run(data, {"lr": rate, "momentum": 0.9, "nesterov": True})
    assert_mean(losses, gf.predict(data, gf.SGD(rate, 0.9, BATCH, nesterov=True), STEPS, noise).loss)


@pytest.mark.parametrize(("kind", "decay"), [("ema", 0.9), ("ema", 0.99), ("polyak", 0.9)])
def test_torchs_averaged_model_has_the_predicted_mean_loss(data: gf.LinearData, kind: Any, decay: float) -> None:
    from torch.optim import swa_utils

    def ema(model: Any) -> Any:
        shown = swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(decay))
        shown.update_parameters(model)
        return shown

    rate = 0.3 * gf.max_learning_rate(data, 0.5, BATCH)
    plain = gf.SGD(rate, 0.5, BATCH)
    losses = run(data, {"lr": rate, "momentum": 0.5}, ema if kind == "ema" else swa_utils.AveragedModel)
    assert_mean(losses, gf.predict(data, gf.Averaged(plain, kind, decay=decay), STEPS).loss)
    with pytest.raises(AssertionError):
        assert_mean(losses, gf.predict(data, plain, STEPS).loss)
