"""Many settings at once, on every device and in either space, are the runs that each setting has alone."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import numpy as np
import pytest
from problems import features

import genfun as gf
from benchmarks.gpu.agreement import no_kernel
from genfun.data import gaussian
from genfun.experiments import agree, log_grid, simulate, simulate_many
from genfun.experiments.simulation import ensemble
from genfun.experiments.simulation.backend import NumPyBackend
from genfun.experiments.simulation.batches import block_bytes, epochs, index_blocks
from genfun.experiments.simulation.space import residuals_space, space_of, weights_space
from genfun.experiments.simulation.updates import Stepper, Updates

SETTINGS = [
    gf.SGD(0.1, 0.5, 3),
    gf.SGD(0.05, -0.6, 3),
    gf.SGD(0.2, 0.0, 1),
    gf.SGD(0.1, 0.3, 25),
    gf.SGD(0.1, 0.3, 3, replacement=True),
    gf.SGD(0.2, -0.3, None),
    gf.SGD(0.1, 0.9, 3),
    gf.SGD(0.2, 0.4, 30),
]


@dataclass(frozen=True)
class ThreeTerms:
    """A method with two memories, coupled every way that leaves w alone without a gradient."""

    learning_rate: float
    batch_size: int | None
    replacement: bool = False
    hyperparameters: tuple[float, ...] = (0.2,)

    @staticmethod
    def update(a, c, /):
        return ((1 - a, c, 0.1), (-2 * a, c, -0.3), (-a, 0.4, c)), (1, 2, 1)


@dataclass(frozen=True)
class TwoPositions:
    """A method whose memory is a multiple of the last w, which moves the residuals at the optimum too."""

    learning_rate: float
    batch_size: int | None
    replacement: bool = False
    hyperparameters: tuple[float, ...] = (0.2,)

    @staticmethod
    def update(a, c, /):
        return ((1 + c - a, -c), (0.9, 0)), (1, 0)


CASES = [(4, 1), (4, 2), (20, 1), (20, 3)]


def test_data_of_high_rank_are_run_on_the_residuals_of_the_samples():
    sgd, other = Updates.of([gf.SGD(0.1)]), Updates.of([TwoPositions(0.1, 3)])
    assert space_of(features(4, 1), sgd).errors is not None
    assert space_of(features(20, 1), sgd).errors is None
    assert space_of(features(20, 2), sgd).rows.shape == (30, 30)
    assert space_of(features(20, 2), other).rows.shape == (30, 20)


def test_a_method_that_moves_the_residuals_of_the_optimum_is_run_on_the_weights():
    data, m = features(20, 1), TwoPositions(0.1, 4)
    runs = simulate(data, m, steps=12, replicas=1, seed=1)
    phi, residuals = data.eigenfeatures, data.residuals
    assert data.noise_variance > 0.01
    w, last = -data.coefficients, np.zeros((20, 1))
    blocks = next(index_blocks(np.random.SeedSequence(1).spawn(1), 30, 4, False, "fresh"))
    for B in blocks[:12, 0]:
        gradient = phi[B].T @ (phi[B] @ w - residuals[B]) / 4
        w, last = 1.2 * w - 0.2 * last - 0.1 * gradient, 0.9 * w
    np.testing.assert_allclose(runs.loss[0, -1], np.sum((phi @ w - residuals) ** 2) / 60, rtol=1e-11)


@pytest.mark.parametrize(("d", "outputs"), CASES)
def test_many_settings_are_the_runs_of_each_alone(d, outputs):
    data = features(d, outputs)
    many = simulate_many(data, SETTINGS, steps=25, replicas=4, seed=3)
    assert tuple(r.method for r in many) == tuple(SETTINGS)
    for m, runs in zip(SETTINGS, many, strict=True):
        np.testing.assert_allclose(runs.loss, simulate(data, m, 25, 4, seed=3).loss, rtol=1e-11)
        if m.batch_size not in (None, 30):
            assert np.unique(runs.loss[:, -1]).size == 4


@pytest.mark.parametrize(("d", "outputs"), CASES)
def test_chunks_of_any_size_give_the_same_runs(d, outputs, monkeypatch):
    data = features(d, outputs)
    whole = simulate_many(data, SETTINGS, steps=20, replicas=5)
    for limit in (1, 4_000, 9_000):
        monkeypatch.setattr(NumPyBackend, "chunk_bytes", limit)
        for a, b in zip(simulate_many(data, SETTINGS, steps=20, replicas=5), whole, strict=True):
            np.testing.assert_allclose(a.loss, b.loss, rtol=1e-11)


def test_losses_and_batches_of_a_chunk_stay_within_their_memory_too():
    for runs, settings, block, kept in itertools.product((1, 7, 10_000), (1, 50), (1, 10_000), (8, 80_000)):
        tall, wide = ensemble.held(runs, settings, block, kept, 1 << 20)
        assert 1 <= tall <= runs
        assert 1 <= wide <= settings
        assert tall * (block + wide * kept) <= 1 << 20
        # One run or one setting more would not fit, unless they run out.
        assert (tall + 1) * (block + wide * kept) > 1 << 20 or tall == runs
        assert block + (wide + 1) * kept > 1 << 20 or wide == settings
    assert ensemble.held(5, 5, 1 << 21, 8, 1 << 20) == (1, 1)


def test_the_size_of_a_block_is_known_before_it_is_drawn():
    for b, order in ((1, "fresh"), (7, "fresh"), (100, "fresh"), (7, "epochs")):
        block = next(index_blocks(np.random.SeedSequence(0).spawn(1), 100, b, False, order))
        assert block.nbytes == block_bytes(100, b, order)


def test_runs_do_not_depend_on_the_memory_of_losses_and_batches(monkeypatch):
    data = features(20, 1)
    whole = simulate_many(data, SETTINGS, steps=20, replicas=5)
    monkeypatch.setattr(NumPyBackend, "chunk_bytes", 1 << 14)
    monkeypatch.setattr(ensemble, "LEAST_HELD", 1)
    for a, b in zip(simulate_many(data, SETTINGS, steps=20, replicas=5), whole, strict=True):
        np.testing.assert_allclose(a.loss, b.loss, rtol=1e-11)


def test_chunks_stay_within_their_memory_and_hold_at_least_one_run():
    for b, d, settings, outputs in itertools.product((1, 10, 100), (10, 1000), (1, 50), (1, 10)):
        runs, width = ensemble.chunk(b, d, settings, outputs, 8, 1 << 20)
        used = runs * 8 * d * (b + 4 * width * outputs)
        assert 1 <= width <= settings
        assert used <= 1 << 20 or (runs, width) == (1, 1)
        # Not half of what would fit, unless settings run out.
        assert 2 * used > 1 << 20 or width == settings


@pytest.mark.parametrize("d", [4, 20])
@pytest.mark.parametrize("order", ["fresh", "epochs"])
def test_residuals_and_weights_are_two_ways_to_the_same_runs(d, order, monkeypatch):
    data, settings = features(d, 2), [gf.SGD(0.1, 0.5, 3), gf.SGD(0.1, -0.5, 20), ThreeTerms(0.05, 4)]
    arguments = {"steps": 25, "replicas": 3, "order": order}
    first = simulate_many(data, settings, **arguments)
    other = weights_space if d == 20 else residuals_space
    monkeypatch.setattr(ensemble, "space_of", lambda data, settings: other(data))
    for a, b in zip(first, simulate_many(data, settings, **arguments), strict=True):
        np.testing.assert_allclose(a.loss, b.loss, rtol=1e-10)


@pytest.mark.parametrize(("d", "outputs"), CASES)
def test_torch_gives_the_numbers_of_numpy(d, outputs):
    pytest.importorskip("torch")
    data, settings = features(d, outputs), [*SETTINGS, ThreeTerms(0.05, 4), TwoPositions(0.05, 4)]
    here = simulate_many(data, settings, steps=25, replicas=3, device="cpu", record="log")
    there = simulate_many(data, settings, steps=25, replicas=3, device="torch", record="log")
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(a.steps, b.steps)
        np.testing.assert_allclose(a.loss, b.loss, rtol=1e-11)


@pytest.mark.parametrize("device", ["cpu", "torch"])
def test_single_precision_is_near_double_and_is_not_double(device):
    if device == "torch":
        pytest.importorskip("torch")
    for d in (4, 20):
        data = features(d, 1)
        double = simulate_many(data, SETTINGS, steps=25, replicas=3)
        for a, b in zip(simulate_many(data, SETTINGS, 25, 3, device, dtype="float32"), double, strict=True):
            # 25 stable steps of rounding 6e-8 each, in the residuals and twice in the loss.
            np.testing.assert_allclose(a.loss, b.loss, rtol=25 * 4 * 6e-8)
            assert (a.loss != b.loss).any()
            assert (a.loss.dtype, a.dtype) == (np.dtype(float), "float32")


def test_the_fused_kernel_gives_the_numbers_of_numpy_in_the_interpreter():
    pytest.importorskip("torch")
    pytest.importorskip("triton", reason="triton is not installed: the GPU kernel is not checked")
    if reason := no_kernel("cpu"):
        pytest.skip(reason)
    code = """
        import numpy as np
        import genfun as gf
        from genfun.experiments.simulation.torch_backend import TorchBackend
        from genfun.experiments.simulation.triton_kernel import fits, run_fused
        from genfun.experiments.simulation.backend import NumPyBackend
        from genfun.experiments.simulation.engine import run_chunk
        from genfun.experiments.simulation.ensemble import run_ensemble
        from genfun.experiments.simulation.updates import Updates
        from genfun.experiments.simulation.space import space_of

        rng = np.random.default_rng(0)
        settings = [gf.SGD(0.1, 0.5, 2), gf.SGD(0.05, -0.6, 2), gf.SGD(0.1, 0.3, 2, True), gf.SGD(0.1, 0.3, None)]
        kept = np.array([0, 2, 6])
        for d, outputs in ((4, 2), (20, 1)):
            data = gf.LinearData.from_features(rng.standard_normal((30, d)), rng.standard_normal((30, outputs)))
            assert fits(space_of(data, Updates.of(settings)), Updates.of(settings), 2)
            for dtype, rounding in (("float64", 1e-11), ("float32", 1e-5)):
                arguments = data, settings, kept, 2, 0, "fresh"
                fused = run_ensemble(*arguments, TorchBackend("cpu", dtype), run_fused, lambda done: None)
                plain = run_ensemble(*arguments, NumPyBackend("float64"), run_chunk, lambda done: None)
                for a, b in zip(fused, plain):
                    np.testing.assert_allclose(a, b, rtol=rounding)
    """
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_epoch_visits_every_sample_once():
    for n, b in ((12, 3), (10, 10), (7, 1)):
        slices = list(itertools.islice(epochs(np.random.default_rng(0), n, b), 5000 * (n // b)))
        visits = np.array(slices).reshape(5000, n)
        np.testing.assert_array_equal(np.sort(visits, axis=1), np.tile(np.arange(n), (5000, 1)))
        # Each place of the permutation is uniform: mean (n-1)/2, variance (n^2-1)/12; five standard errors.
        error = 5 * np.sqrt((n**2 - 1) / 12 / 5000)
        assert abs(visits.mean(axis=0) - (n - 1) / 2).max() <= error


def test_the_rest_of_an_epoch_is_dropped():
    slices = np.array(list(itertools.islice(epochs(np.random.default_rng(0), 11, 3), 3000))).reshape(1000, 9)
    assert all(np.unique(epoch).size == 9 for epoch in slices)
    # Every sample is left out of 2/11 of the epochs: five standard deviations.
    left_out = 1000 - np.bincount(slices.ravel(), minlength=11)
    assert abs(left_out - 1000 * 2 / 11).max() < 5 * np.sqrt(1000 * 2 / 11 * 9 / 11)


def test_the_batches_of_a_run_do_not_depend_on_the_other_runs():
    seeds = np.random.SeedSequence(1).spawn(4)
    for order, replacement in (("fresh", False), ("fresh", True), ("epochs", False)):
        four = next(index_blocks(seeds, 20, 3, replacement, order))
        np.testing.assert_array_equal(next(index_blocks(seeds[2:3], 20, 3, replacement, order))[:, 0], four[:, 2])
        assert (four[:, 0] != four[:, 1]).any()


def test_one_epoch_of_one_pass_is_textbook_sgd_over_a_permutation():
    data = features(20, 1)
    m = gf.SGD(0.2, 0.4, 7)
    runs = simulate(data, m, steps=9, replicas=2, seed=2, order="epochs")
    X, y = data.eigenfeatures, data.targets
    for r, child in enumerate(np.random.SeedSequence(2).spawn(2)):
        w, v = np.zeros((data.rank, 1)), np.zeros((data.rank, 1))
        for B in itertools.islice(epochs(np.random.default_rng(child), 30, 7), 9):
            v = 0.4 * v - 0.2 * X[B].T @ (X[B] @ w - y[B]) / 7
            w = w + v
        np.testing.assert_allclose(runs.loss[r, -1], np.sum((X @ w - y) ** 2) / 60, rtol=1e-11)
    assert runs.order == "epochs"


@pytest.mark.slow
def test_the_mean_is_that_of_the_exact_second_moments():
    # Not translation-invariant: (tau1, tau2) = (1, 1) is off here, the full moments are not.
    data = gaussian([1.0, 0.5, 0.2, 0.1], [0.5, 0.3, 0.3, 0.2], 24, seed=1, noise_variance=0.1)
    settings = [
        gf.SGD(0.1, 0.0, 1),
        gf.SGD(0.1, 0.6, 4),
        gf.SGD(0.3, -0.5, 3),
        gf.SGD(0.3, -0.5, 12),
        gf.SGD(0.3, -0.5, 12, replacement=True),
        gf.SGD(0.5, 0.2, 20),
        gf.SGD(0.5, -0.3, 24),
    ]
    record = [1, 4, 15, 40]
    for m, runs in zip(settings, simulate_many(data, settings, 40, 3000, record=record), strict=True):
        result = agree(gf.predict(data, m, record, noise="exact"), runs, relative=1e-9, sigmas=3.5)
        assert result.agrees, f"{m}\n{result.table()}"
        assert result.sem[-1] < 0.03 * result.mean[-1]


@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_step_in_place_is_the_product_with_the_update_matrix(m):
    rng = np.random.default_rng(m)
    for trial in range(6):
        T, k = rng.standard_normal((5, m, m)), rng.standard_normal((5, m))
        if trial == 1:
            T[:, 0] = T[:, -1] + np.eye(m)[0]
            k[:, 0] = k[:, -1]
        if trial == 2:
            T[:, -1], k[:, -1] = T[:, 0] + np.eye(m)[-1], k[:, 0]
        if trial == 3:
            T = T * rng.integers(0, 2, (m, m))
        if trial == 4:
            T, k = np.tile(np.ones((m, m)), (5, 1, 1)), np.zeros((5, m))
        x, g = [rng.standard_normal((2, 5, 7)) for _ in range(m)], rng.standard_normal((2, 5, 7))
        expected = np.einsum("sij,jrsd->irsd", T, np.array(x)) + k.T[:, None, :, None] * g
        Stepper(Updates(np.ones(5), T, k, 0.0 * k, k), NumPyBackend("float64"), (2, 5, 7)).advance(x, g)
        np.testing.assert_allclose(np.array(x), expected, rtol=1e-12, atol=1e-12)


def test_log_grid_is_ascending_and_reaches_both_ends():
    for steps in (0, 1, 2, 17, 10**6):
        grid = log_grid(steps, 50)
        assert (grid[0], grid[-1]) == (0, steps)
        assert (np.diff(grid) > 0).all()
        assert grid.size <= 51
    assert np.diff(np.log(log_grid(10**6, 50)[-20:])).std() < 1e-4
    data = features(4, 1)
    whole = simulate(data, SETTINGS[0], 300, 2)
    some = simulate(data, SETTINGS[0], 300, 2, record="log")
    np.testing.assert_array_equal(some.loss, whole.loss[:, log_grid(300)])


def test_devices_that_are_not_there_are_named(monkeypatch):
    pytest.importorskip("torch")
    from genfun.experiments.simulation import devices, torch_backend

    monkeypatch.setattr(torch_backend, "usable_gpus", lambda: 1)
    with pytest.raises(ValueError, match="device='cuda:1' is not there: torch sees 1 GPUs"):
        simulate(features(4, 1), SETTINGS[0], 1, 1, "cuda:1")
    with pytest.raises(ValueError, match="methods is empty"):
        simulate_many(features(4, 1), [])
    monkeypatch.setattr(torch_backend, "usable_gpus", lambda: 0)
    monkeypatch.setattr(devices, "DRIVERS", ("libc.so.6",))
    assert isinstance(devices.device_of("auto", "float64")[0], NumPyBackend)


def test_experiments_load_without_torch():
    code = "import sys; sys.modules['torch'] = None; sys.modules['triton'] = None; import genfun.experiments as e; "
    code += "import genfun as gf; d = gf.data.translation_invariant([1.0, 0.5], [1.0, 1.0]); "
    code += "print(e.simulate(d, gf.SGD(0.1, batch_size=1), 3, 2).loss.shape)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(2, 4)", done.stderr


def test_runs_at_some_steps_are_the_recorded_ones():
    runs = simulate(features(4, 1), SETTINGS[0], 20, 3)
    some = runs.at([20, 3])
    np.testing.assert_array_equal(some.steps, [3, 20])
    np.testing.assert_array_equal(some.loss, runs.loss[:, [3, 20]])
    with pytest.raises(ValueError, match=r"\[21\] are missing"):
        runs.at([3, 21])
