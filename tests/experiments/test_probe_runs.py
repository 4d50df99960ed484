"""Simulated runs of linear probes are those of torch, step by step."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.experiments import simulate
from genfun.experiments.simulation.batches import batches

RNG = np.random.default_rng(4)
DATA = gf.SoftmaxData.from_features(
    RNG.standard_normal((30, 3)), np.arange(30) % 3, initial=RNG.standard_normal((3, 3)), label_smoothing=0.1
)
METHOD = gf.SGD(0.4, 0.7, 5, weight_decay=0.05)


def test_a_run_is_that_of_torch_with_the_same_batches():
    torch = pytest.importorskip("torch")
    seen = simulate(DATA, METHOD, steps=12, replicas=2, seed=7, record=[0, 3, 12])
    layer = torch.nn.Linear(3, 3, bias=False).double()
    layer.weight.data = torch.tensor(DATA.initial.T.copy())
    x, y = torch.tensor(np.array(DATA.features)), torch.tensor(np.array(DATA.labels))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.4, momentum=0.7, weight_decay=0.05)
    loss_fn = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    source = batches(np.random.default_rng(np.random.SeedSequence(7).spawn(2)[1]), 30, 5, False)
    for t in range(13):
        if t in (0, 3, 12):
            scores = layer(x)
            place = [0, 3, 12].index(t)
            assert seen.loss[1, place] == pytest.approx(loss_fn(scores, y).item(), rel=1e-12)
            assert seen.error_rate[1, place] == pytest.approx((scores.argmax(1) != y).double().mean().item())
        rows = torch.tensor(next(source))
        optimizer.zero_grad()
        loss_fn(layer(x[rows]), y[rows]).backward()
        optimizer.step()
    assert seen.loss[0, 2] != seen.loss[1, 2]


def test_runs_check_the_prediction():
    steps = [5, 40]
    seen, told = simulate(DATA, METHOD, steps=40, replicas=300, record=steps), gf.predict(DATA, METHOD, steps)
    assert (np.abs(told.loss - seen.mean) <= told.error * told.loss + 2.5 * seen.sem).all()
    wrong = seen.error_rate
    assert (np.abs(told.error_rate - wrong.mean(axis=0)) <= 0.01 + 2.5 * wrong.std(axis=0) / 300**0.5).all()
    assert seen.at([40]).error_rate.shape == (300, 1)


def test_without_noise_all_runs_are_one_and_epochs_have_less_of_it():
    full = simulate(DATA, gf.SGD(0.4, 0.7), steps=9, replicas=3)
    assert np.ptp(full.loss, axis=0).max() == 0.0
    told = gf.predict(DATA, gf.SGD(0.4, 0.7), 9)
    assert full.mean[-1] == pytest.approx(float(told.loss), rel=1e-3)
    fresh, epochs = (simulate(DATA, METHOD, steps=60, replicas=200, order=o, record=[60]) for o in ("fresh", "epochs"))
    asked = simulate(DATA, gf.SGD(0.4, 0.7, 5, weight_decay=0.05, sampling="epochs"), 60, 200, record=[60])
    assert asked.mean == pytest.approx(epochs.mean, rel=1e-14)
    assert epochs.order == asked.order == "epochs"
    assert epochs.mean[0] < fresh.mean[0] - 2.5 * fresh.sem[0]


@pytest.mark.parametrize(
    ("method", "options", "text"),
    [
        (gf.SGD(0.1, nesterov=True, momentum=0.5), {}, "nesterov must be left out"),
        (gf.SGD(0.1), {"device": "cuda"}, "simulated by NumPy"),
        (gf.SGD(0.1, batch_size=31), {}, "batch_size"),
    ],
)
def test_what_is_not_simulated_is_refused(method, options, text):
    with pytest.raises(ValueError, match=text):
        simulate(DATA, method, **options)
