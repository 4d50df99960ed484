"""Sweeps: every cell is what `simulate` gives, and nothing that was finished is lost or computed twice."""

from __future__ import annotations

import errno
import importlib
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import genfun as gf
from genfun.data import gaussian
from genfun.experiments import agree, simulate
from genfun.experiments.sweeps.pace import duration
from genfun.experiments.sweeps.pool import crew
from genfun.experiments.sweeps.sweep import cells, sweep

WORK = importlib.import_module("genfun.experiments.sweeps.work")
GRID = {"learning_rate": [0.1, 0.4], "momentum": [0.5, -0.5], "batch_size": [1, 4, None]}
DATA = gaussian([1.0, 0.5, 0.2, 0.1], [1.0, 1.0, 1.0, 0.5], 32, seed=0, noise_variance=0.1)
RUNS = {"steps": 20, "replicas": 3, "seed": 5}


class Here(Executor):
    """Computes at once, in this thread; `lose` tells for the number of a submission whether it is lost."""

    def __init__(self, lose=lambda number: None):
        self.lose, self.count = lose, 0

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        self.count += 1
        error = self.lose(self.count)
        if error is None:
            future.set_result(fn(*args, **kwargs))
        else:
            future.set_exception(error)
        return future


# Without the shape checks of the tests, to see the checks at the door.
unchecked = getattr(sweep, "__wrapped__", sweep)


def bits(swept):
    return swept.loss.values.tobytes()


@pytest.fixture(scope="module")
def undisturbed():
    return sweep(DATA, GRID, Here(), **RUNS)


def stamps(store: Path) -> dict[str, int]:
    """Finished cells and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (store / "cells").glob("*.cell")}


def left_half_written(store: Path) -> list[Path]:
    return list(store.rglob("*.tmp"))


def test_every_cell_is_what_simulate_gives(undisturbed):
    assert undisturbed.loss.dims == ("learning_rate", "momentum", "batch_size", "replica", "step")
    assert undisturbed.batch_size.values.tolist() == [1, 4, 32]
    for rate in (0.1, 0.4):
        for beta in (0.5, -0.5):
            for b in (1, 4, None):
                here = undisturbed.loss.sel(learning_rate=rate, momentum=beta, batch_size=b or 32)
                direct = simulate(DATA, gf.SGD(rate, beta, b), device="cpu", **RUNS)
                assert here.values.tobytes() == direct.loss.tobytes()
    assert undisturbed.attrs["seed"] == 5
    assert undisturbed.attrs["computed"] == 12


def test_the_share_of_diverged_runs_is_told():
    swept = sweep(DATA, {"learning_rate": [0.1, 3.0], "batch_size": [1]}, Here(), **RUNS)
    assert swept.diverged.values.ravel().tolist() == [0.0, 1.0]


def test_executor_order_and_recording_change_no_bit(undisturbed, tmp_path):
    with ThreadPoolExecutor(3) as threads:
        assert bits(sweep(DATA, GRID, threads, **RUNS)) == bits(undisturbed)
    backwards = {axis: values[::-1] for axis, values in GRID.items()}
    assert bits(sweep(DATA, backwards, Here(), **RUNS)[{axis: slice(None, None, -1) for axis in GRID}]) == bits(
        undisturbed
    )
    some = sweep(DATA, GRID, Here(), record=[20, 0, 7], **RUNS)
    assert bits(some) == undisturbed.loss.sel(step=[0, 7, 20]).values.tobytes()


def test_a_sweep_read_from_a_file_agrees_with_theory(tmp_path):
    import xarray

    swept = sweep(
        DATA, {"learning_rate": [0.1], "batch_size": [4, None]}, Here(), steps=20, replicas=400, record=[5, 20]
    )
    swept.to_netcdf(tmp_path / "s.nc", engine="scipy")
    with xarray.open_dataset(tmp_path / "s.nc", engine="scipy") as read:
        found = list(cells(read))
    assert [runs.method for runs in found] == [gf.SGD(0.1, 0.0, 4), gf.SGD(0.1, 0.0, 32)]
    for runs in found:
        assert agree(gf.predict(DATA, runs.method, runs.steps, noise="exact"), runs, relative=1e-9).agrees


def test_a_larger_grid_computes_only_what_is_new(undisturbed, tmp_path):
    sweep(DATA, GRID | {"batch_size": [4]}, Here(), tmp_path, **RUNS)
    old = stamps(tmp_path)
    grown = sweep(DATA, GRID, Here(), tmp_path, **RUNS)
    assert (grown.attrs["stored"], grown.attrs["computed"]) == (4, 8)
    assert old.items() <= stamps(tmp_path).items()
    assert bits(grown) == bits(undisturbed)


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_cell_is_named_and_computed_again_alone(undisturbed, tmp_path, damage, caplog):
    sweep(DATA, GRID, Here(), tmp_path, **RUNS)
    old = stamps(tmp_path)
    victim = tmp_path / "cells" / "lr0.4_m-0.5_b4.cell"
    raw = bytearray(victim.read_bytes())
    raw[-20] ^= 1
    victim.write_bytes(raw if damage == "flipped" else raw[:-100])
    with caplog.at_level(logging.WARNING, "genfun.experiments.sweeps.sweep"):
        again = sweep(DATA, GRID, Here(), tmp_path, **RUNS)
    assert victim.name in caplog.text
    assert victim.name in again.attrs["recomputed"]
    assert ("truncated" if damage == "truncated" else "checksum") in again.attrs["recomputed"]
    assert again.attrs["computed"] == 1
    assert {k for k, v in stamps(tmp_path).items() if old[k] != v} == {victim.name}
    assert bits(again) == bits(undisturbed)


def test_a_full_disk_stops_cleanly_and_the_sweep_goes_on_later(undisturbed, tmp_path, monkeypatch):
    real, calls = os.fsync, []

    def fsync(handle):
        calls.append(handle)
        # data.bin, sweep.json and a cell take two each: the file and the folder.
        if len(calls) > 2 * (2 + 5):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(
            OSError, match=r"No space left on device at .*lr.*\.cell; 5 of 12 cells are stored"
        ) as found:
            sweep(DATA, GRID, Here(), tmp_path, **RUNS)
    assert found.value.errno == errno.ENOSPC
    assert len(stamps(tmp_path)) == 5
    assert left_half_written(tmp_path) == []
    again = sweep(DATA, GRID, Here(), tmp_path, **RUNS)
    assert again.attrs["stored"] == 5
    assert bits(again) == bits(undisturbed)


def test_ctrl_c_cancels_what_waits_and_keeps_what_is_finished(undisturbed, tmp_path):
    def interrupt(done, stage):
        if done > 0.3:
            raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as threads:
        with pytest.raises(KeyboardInterrupt):
            sweep(DATA, GRID, threads, tmp_path, progress=interrupt, **RUNS)
        # Nothing is left in the queue: this runs at once after the cell in progress.
        assert threads.submit(int).result(timeout=5) == 0
    assert len(stamps(tmp_path)) == 4
    again = sweep(DATA, GRID, Here(), tmp_path, **RUNS)
    assert again.attrs["stored"] == 4
    assert bits(again) == bits(undisturbed)


def test_a_lost_worker_costs_a_cell_another_try_but_not_endlessly(undisturbed, tmp_path):
    flaky = Here(lambda number: RuntimeError("worker gone") if number % 3 == 1 else None)
    assert bits(sweep(DATA, GRID, flaky, **RUNS)) == bits(undisturbed)
    assert flaky.count > 3 + 4  # a group for each batch size, and at least one of them again, cell by cell
    dead = Here(lambda number: RuntimeError("worker gone"))
    with pytest.raises(
        RuntimeError, match=r"SGD\(.*was lost with its worker 4 times, last by RuntimeError: worker gone"
    ):
        sweep(DATA, GRID, dead, **RUNS)


def test_an_error_of_the_work_itself_is_tried_again_only_to_find_its_cell(monkeypatch):
    def out_of_memory(*_):
        raise MemoryError("too large")

    monkeypatch.setattr(WORK, "run_ensemble", out_of_memory)
    here = Here()
    with pytest.raises(MemoryError, match="too large") as found:
        sweep(DATA, GRID, here, **RUNS)
    # A group does not tell which of its cells it was: each is tried alone, once.
    assert here.count == 3 + 12
    assert "in the runs of SGD(" in found.value.__notes__[0]


def test_cells_too_large_together_are_computed_alone(undisturbed, monkeypatch):
    real = WORK.run_ensemble

    def small(data, methods, *rest):
        if len(methods) > 1:
            raise MemoryError("too large")
        return real(data, methods, *rest)

    monkeypatch.setattr(WORK, "run_ensemble", small)
    assert bits(sweep(DATA, GRID, Here(), **RUNS)) == bits(undisturbed)


@pytest.mark.parametrize(("n", "rank", "outputs"), [(60, 20, 2), (24, 24, 1)])
def test_cells_have_the_bits_of_their_runs_alone_whatever_is_run_beside_them(n, rank, outputs, monkeypatch):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((n, rank)) / np.arange(1, rank + 1)
    data = gf.LinearData.from_features(X, X @ rng.standard_normal((rank, outputs)) + 0.1)
    rates = np.geomspace(0.01, 0.1, 5).tolist()
    for chunk in (1 << 20, 1 << 14):  # all runs and settings together, and in several pieces
        monkeypatch.setattr("genfun.experiments.simulation.backend.NumPyBackend.chunk_bytes", chunk)
        swept = sweep(data, {"learning_rate": rates, "batch_size": [2, n // 2]}, Here(), steps=9, replicas=7)
        for runs in cells(swept):
            assert runs.loss.tobytes() == simulate(data, runs.method, 9, 7, "cpu").loss.tobytes()


def test_workers_that_cannot_see_the_folder_get_the_data_by_message(undisturbed, monkeypatch):
    import pickle

    class Remote(Here):
        """A worker elsewhere: arguments are pickled, and files are not seen."""

        def submit(self, fn, /, *args, **kwargs):
            return super().submit(fn, *pickle.loads(pickle.dumps(args)))

    def unseen(*_):
        raise FileNotFoundError

    SHARED = importlib.import_module("genfun.experiments.sweeps.shared_data")
    with monkeypatch.context() as patch:
        patch.setattr(SHARED.Path, "read_bytes", unseen)
        remote = Remote()
        assert bits(sweep(DATA, GRID, remote, **RUNS)) == bits(undisturbed)
    assert remote.count > 3


def test_progress_counts_stored_cells_and_tells_the_time_left(tmp_path, monkeypatch):
    told = []
    # A clock by which every cell takes four seconds, however busy the machine is.
    clock = SimpleNamespace(monotonic=map(float, range(0, 1000, 4)).__next__)
    sweep(DATA, GRID | {"batch_size": [1]}, Here(), tmp_path, **RUNS)
    monkeypatch.setattr("genfun.experiments.sweeps.pace.time", clock)
    sweep(DATA, GRID | {"batch_size": [1, 4]}, Here(), tmp_path, progress=lambda *a: told.append(a), **RUNS)
    assert [done for done, _ in told] == [0.5, 0.625, 0.75, 0.875, 1.0]
    assert told[0][1] == "4 of 8 cells found in the store"
    assert [stage for _, stage in told[1:4]] == [f"{n} of 8 cells, about {4 * (8 - n)} s left" for n in (5, 6, 7)]
    assert told[-1][1] == "8 of 8 cells"
    assert [duration(s) for s in (0.2, 99.5, 150.0, 7200.0)] == ["1 s", "100 s", "3 min", "2.0 h"]


@pytest.mark.parametrize(
    ("grid", "error", "match"),
    [
        ({"momentum": [0.0]}, ValueError, "learning rates"),
        ({"learning_rate": [0.1], "beta": [0.0]}, ValueError, "no axis 'beta'"),
        ({"learning_rate": []}, ValueError, "is empty"),
        ({"learning_rate": 0.1}, TypeError, "sequence of numbers"),
        ({"learning_rate": [0.1, 0.1]}, ValueError, "0.1 twice"),
        ({"learning_rate": [0.1], "momentum": [0.0, -0.0]}, ValueError, "0.0 twice"),
        ({"learning_rate": [0.1], "batch_size": [32, None]}, ValueError, "32 twice .None is N"),
        ({"learning_rate": [0.1], "batch_size": [33]}, ValueError, "at most n_samples=32"),
        ({"learning_rate": [-0.1]}, ValueError, "learning_rate must be positive"),
        ([0.1], TypeError, "grid must be a mapping"),
    ],
)
def test_a_wrong_grid_is_refused_at_the_door(grid, error, match, tmp_path):
    with pytest.raises(error, match=match):
        unchecked(DATA, grid, Here(), tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(("executor", "match"), [(0, "at least 1"), ("4", "must be an integer"), (True, "integer")])
def test_what_cannot_run_cells_is_refused(executor, match):
    with pytest.raises((ValueError, TypeError), match=match):
        unchecked(DATA, GRID, executor)


CHILD = """
import sys
import genfun as gf
from genfun.experiments.sweeps.sweep import sweep
sys.path.insert(0, {tests!r})
if __name__ == "__main__":
    from test_sweep import DATA, GRID, RUNS
    sweep(DATA, GRID, {executor}, {store!r}, progress=lambda done, stage: print(done, flush=True), **RUNS)
"""


def children_of(pid: int) -> set[int]:
    return {int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes under /proc")
@pytest.mark.parametrize("cells_before", [0, 5])
def test_a_sweep_killed_outright_resumes_and_leaves_no_process_behind(undisturbed, tmp_path, cells_before):
    store, script = tmp_path / "store", tmp_path / "child.py"
    script.write_text(CHILD.format(tests=str(Path(__file__).parent), executor=1, store=str(store)))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as child:
        for _ in range(cells_before + 1):
            assert child.stdout.readline()
        workers = children_of(child.pid)
        child.kill()
    kept = stamps(store)
    assert cells_before <= len(kept) < 12
    again = sweep(DATA, GRID, Here(), store, **RUNS)
    assert again.attrs["stored"] == len(kept)
    assert kept.items() <= stamps(store).items()
    assert bits(again) == bits(undisturbed)
    deadline = time.monotonic() + 10.0
    while any(Path(f"/proc/{pid}/stat").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(Path(f"/proc/{pid}/stat").exists() for pid in workers)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_processes_hear_no_ctrl_c_while_they_load_and_this_one_still_does():
    with crew(1) as processes:
        held = processes.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
    assert signal.SIGINT in held  # from before its first line
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.slow
def test_a_killed_process_of_the_own_pool_is_replaced(undisturbed):
    killed = []

    def kill_one(done, stage):
        if done > 0.3 and not killed:
            killed.append(multiprocessing.active_children()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    swept = sweep(DATA, GRID, 1, progress=kill_one, **RUNS)
    assert killed
    assert bits(swept) == bits(undisturbed)
    assert multiprocessing.active_children() == []


LONG = {"steps": 1500, "replicas": 3, "seed": 5, "record": [0, 100, 1500]}


@pytest.mark.slow
def test_dask_loses_a_worker_process_and_the_sweep_loses_nothing(tmp_path):
    distributed = pytest.importorskip("distributed")
    killed = []
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        workers = list(client.run(os.getpid).values())
        assert len(set(workers) - {os.getpid()}) == 2

        def kill_one(done, stage):
            if done > 0.0 and not killed:
                killed.append(workers[0])
                os.kill(workers[0], signal.SIGKILL)

        swept = sweep(DATA, GRID, client.get_executor(), tmp_path, progress=kill_one, **LONG)
    assert killed
    assert swept.attrs["computed"] == 12
    assert bits(swept) == bits(sweep(DATA, GRID, Here(), **LONG))
