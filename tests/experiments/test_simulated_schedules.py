"""Simulated runs of schedules: the update of torch and of Keras on the samples, and what torch itself does."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf
from genfun.experiments import agreements, simulate, simulate_many
from genfun.experiments.simulation.batches import index_blocks
from genfun.experiments.simulation.moving import sized_blocks

K = np.arange(1.0, 9.0)
STEPS = 30
RATES, MOMENTA = 0.3 / (1.0 + 0.1 * np.arange(STEPS)), np.linspace(0.0, 0.8, STEPS)
SIZES = np.repeat([2, 5, 3], 10)


def _data(n=40):
    return gf.data.gaussian(K**-1.0, K**-1.0, n, seed=1, noise_variance=0.1)


def _by_hand(data, batches, convention, momenta=MOMENTA, dampening=0.0):
    """One run on the samples, by the formulas of the class."""
    phi, y, n = data.eigenfeatures, data.targets, data.n_samples
    w, memory = np.zeros((data.rank, y.shape[1])), 0.0
    losses = [0.5 * (y**2).sum() / n]
    for t in range(STEPS):
        rows = batches(t)
        g = phi[rows].T @ (phi[rows] @ w - y[rows]) / len(rows)
        if convention == "torch":
            memory = momenta[t] * memory + (1.0 if t == 0 else 1.0 - dampening) * g
            w = w - RATES[t] * memory
        else:
            memory = momenta[t] * memory - RATES[t] * g
            w = w + memory
        losses.append(0.5 * ((phi @ w - y) ** 2).sum() / n)
    return np.array(losses)


@pytest.mark.parametrize("convention", ["torch", "keras"])
@pytest.mark.parametrize("n", [12, 40])  # on the residuals and on the weights
def test_a_run_of_a_schedule_is_its_update_on_the_samples(convention, n):
    data, seed = _data(n=n), 4
    method = gf.ScheduledSGD(RATES, MOMENTA, 3, convention=convention)
    found = simulate(data, method, STEPS, 2, "cpu", seed)
    block = next(index_blocks(np.random.SeedSequence(seed).spawn(2), n, 3, False, "fresh"))
    for run in range(2):
        assert found.loss[run] == pytest.approx(_by_hand(data, lambda t, run=run: block[t, run], convention), rel=1e-10)
    # The conventions differ.
    other = simulate(data, gf.ScheduledSGD(RATES, MOMENTA, 3), STEPS, 2, "cpu", seed)
    assert (convention == "torch") == bool(np.allclose(other.loss, found.loss, rtol=1e-6))


def test_batches_may_grow_and_the_first_gradient_is_whole():
    data, seed, momenta = _data(), 4, np.maximum(MOMENTA, 0.1)
    method = gf.ScheduledSGD(RATES, momenta, SIZES, dampening=0.4)
    found = simulate(data, method, STEPS, 3, "cpu", seed)
    blocks = list(sized_blocks(np.random.SeedSequence(seed).spawn(3), 40, SIZES, False))
    assert [b.shape for b in blocks] == [(10, 3, 5)] * 3
    rows = np.concatenate(blocks)
    assert all(len(set(rows[t, run, : SIZES[t]])) == SIZES[t] for t in range(STEPS) for run in range(3))
    for run in range(3):
        by_hand = _by_hand(data, lambda t, run=run: rows[t, run, : SIZES[t]], "torch", momenta, 0.4)
        assert found.loss[run] == pytest.approx(by_hand, rel=1e-10)


def test_a_constant_schedule_is_the_constant_setting_beside_it():
    data = _data()
    settings = [
        gf.SGD(0.1, 0.5, 4),
        gf.ScheduledSGD([0.1] * STEPS, 0.5, 4),
        gf.SGD(0.1),
        gf.ScheduledSGD([0.1] * STEPS),
    ]
    runs = simulate_many(data, settings, STEPS, 3, "cpu", 2)
    assert runs[1].loss == pytest.approx(runs[0].loss, rel=1e-10)
    assert runs[3].loss == pytest.approx(runs[2].loss, rel=1e-10)
    assert runs[1].method is settings[1]
    shuffled = simulate_many(data, settings[:2], STEPS, 3, "cpu", 2, order="epochs")
    assert shuffled[1].loss == pytest.approx(shuffled[0].loss, rel=1e-10)
    assert not np.allclose(shuffled[1].loss, runs[1].loss)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_runs_of_a_best_schedule_have_its_loss_and_torch_has_their_losses(momentum):
    torch = pytest.importorskip("torch")
    data, b, steps, replicas = _data(60), 4, 60, 400
    best = gf.best_schedule(data, b, steps, momentum)
    runs = simulate(data, best.method, best.steps, replicas, "cpu", 5, [steps])
    assert abs(runs.mean[0] - float(gf.predict(data, best.method, steps).loss)) < 2.5 * runs.sem[0]
    # A constant rate at the peak would not have that loss.
    constant = gf.predict(data, gf.SGD(best.peak, momentum, b), steps).loss
    assert abs(runs.mean[0] - float(constant)) > 2.5 * runs.sem[0]
    # torch with the exported schedule, on the batches of three of the runs.
    phi, y = (torch.tensor(x, dtype=torch.float64) for x in (data.eigenfeatures, data.targets[:, 0]))
    block = next(index_blocks(np.random.SeedSequence(5).spawn(replicas)[:3], 60, b, False, "fresh"))
    for run in range(3):
        w = torch.zeros(data.rank, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=best.peak, momentum=momentum)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, best.lambda_lr())
        for t in range(steps):
            rows = torch.tensor(block[t, run])
            optimizer.zero_grad()
            (0.5 * ((phi[rows] @ w - y[rows]) ** 2).mean()).backward()
            optimizer.step()
            scheduler.step()
        loss = 0.5 * float(((phi @ w.detach() - y) ** 2).mean())
        assert runs.loss[run, 0] == pytest.approx(loss, rel=1e-9)


def test_what_a_simulated_schedule_cannot_do_is_refused():
    data = _data()
    with pytest.raises(ValueError, match="reach as far as the steps"):
        simulate(data, gf.ScheduledSGD([0.1] * 5, 0.0, 4), 6, 1)
    with pytest.raises(ValueError, match="batch_size must be at most"):
        simulate(data, gf.ScheduledSGD(0.1, 0.0, [4, 400]), 2, 1)
    with pytest.raises(ValueError, match="known of one batch size"):
        simulate(data, gf.ScheduledSGD(0.1, 0.0, [4, 5]), 2, 1, order="epochs")


def test_a_table_of_settings_refuses_a_schedule_by_name():
    data = gf.data.translation_invariant([1.0, 0.5], [1.0, 1.0])
    runs = simulate(data, gf.schedules.ScheduledSGD(lambda t: 0.1 / (1.0 + t), 0.5, 1), 5, replicas=2)
    with pytest.raises(TypeError, match="agree"):
        agreements(data, [runs])


def test_schedules_of_equal_tables_are_one_setting():
    data = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], 20, seed=1)
    once, again, other = (gf.ScheduledSGD(np.linspace(0.3, last, 9), batch_size=4) for last in (0.1, 0.1, 0.2))
    assert once == again != other
    assert hash(once) == hash(again)
    runs = simulate(data, once, 9, 4)
    assert gf.experiments.agree(gf.predict(data, again, [3, 9]), runs).steps.tolist() == [3, 9]
    with pytest.raises(ValueError, match="use one method"):
        gf.experiments.agree(gf.predict(data, other, [3, 9]), runs)
