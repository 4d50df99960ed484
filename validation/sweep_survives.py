"""A sweep that is killed, loses workers, fills the disk or finds its store damaged ends with the undisturbed result.

`kill -9` at random moments of the parent (with two processes of its own), of a worker of the own pool, and of one of
two worker processes of Dask; a disk that is full (simulated: the fourth write fails); a store whose files are truncated
and flipped. What is compared are the bits of all losses, and which files were written again.
"""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import genfun as gf
from genfun.experiments.sweeps.sweep import sweep
from validation.claim import Claim

GRID = {"learning_rate": [0.05, 0.1, 0.2, 0.3], "momentum": [-0.3, 0.0, 0.5], "batch_size": [1, 10]}
CELLS = 24
SOURCE = "the undisturbed sweep"


def run(store: Path | None, executor: Executor | int | None, progress: Callable[..., None] | None = None) -> Any:
    data = gf.data.mnist(200, seed=0, model="ntk")
    return sweep(data, GRID, executor, store, steps=1000, replicas=20, seed=3, record="log", progress=progress)


def stamps(store: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (store / "cells").glob("*.cell")}


def bytes_that_differ(one: Any, other: Any) -> int:
    a, b = (np.frombuffer(x.loss.values.tobytes(), np.uint8) for x in (one, other))
    return int(np.count_nonzero(a != b)) if a.size == b.size else max(a.size, b.size)


def killed_at_random(undisturbed: Any, folder: Path, times: int) -> list[Claim]:
    rng = np.random.default_rng(0)
    differ = again = 0
    kept = []
    for i in range(times):
        store = folder / f"killed{i}"
        command = [sys.executable, "-m", "validation.sweep_survives", str(store)]
        # What Python says of a process that was killed is no news here.
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            assert child.stdout is not None
            for _ in range(rng.integers(1, CELLS)):
                child.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.05))
            child.kill()
        old = stamps(store)
        resumed = run(store, None)
        new = stamps(store)
        again += sum(new[name] != stamp for name, stamp in old.items())
        differ += bytes_that_differ(resumed, undisturbed)
        kept.append(str(len(old)))
    note = f"cells of {CELLS} stored when killed: {', '.join(kept)}"
    name = f"kill -9 of a sweep at {times} random moments"
    return [
        Claim(f"{name}: bytes that differ", differ, 0.0, 0.0, "exact", SOURCE, note),
        Claim(f"{name}: stored cells written again", again, 0.0, 0.0, "exact", SOURCE, note),
    ]


def worker_killed(undisturbed: Any) -> Claim:
    def kill_one(done: float, stage: str) -> None:
        if done == 0.25:
            pid = multiprocessing.active_children()[0].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)

    name = "kill -9 of a process of the own pool: bytes that differ"
    return Claim(name, bytes_that_differ(run(None, 2, kill_one), undisturbed), 0.0, 0.0, "exact", SOURCE)


@contextmanager
def two_workers() -> Iterator[tuple[Any, list[int]]]:
    """A client of two Dask worker processes on this machine, and their process ids."""
    from distributed import Client, LocalCluster

    options: Any = {"dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **options) as cluster,
        Client(cluster) as client,
    ):
        found: Any = client.run(os.getpid)
        yield client, list(found.values())


def dask_worker_killed(undisturbed: Any) -> Claim:
    with two_workers() as (client, workers):

        def kill_one(done: float, stage: str) -> None:
            if done == 0.25:
                os.kill(workers[0], signal.SIGKILL)

        differ = bytes_that_differ(run(None, client.get_executor(), kill_one), undisturbed)
    return Claim("kill -9 of one of two Dask workers: bytes that differ", differ, 0.0, 0.0, "exact", SOURCE)


def full_disk(undisturbed: Any, store: Path) -> Claim:
    real, calls = os.fsync, []

    def fsync(handle: int) -> None:
        calls.append(handle)
        # Two calls a file, and two files before the first cell.
        if len(calls) > 2 * (2 + 3):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    message = ""
    with ThreadPoolExecutor(1) as threads, mock.patch("os.fsync", fsync):
        try:
            run(store, threads)
        except OSError as error:
            message = str(error).replace(str(store), "STORE")
    stored, half_written = len(stamps(store)), len(list(store.rglob("*.tmp")))
    differ = bytes_that_differ(run(store, None), undisturbed)
    note = f"{stored} cells stored, {half_written} files half-written; {message}"
    return Claim(
        "full disk: bytes that differ and files half-written", differ + half_written, 0.0, 0.0, "exact", SOURCE, note
    )


def damaged_store(undisturbed: Any, store: Path) -> list[Claim]:
    run(store, None)
    cells = sorted((store / "cells").glob("*.cell"))
    cells[3].write_bytes(cells[3].read_bytes()[:100])
    cells[5].write_bytes(b"")
    raw = bytearray(cells[7].read_bytes())
    raw[-1] ^= 1
    cells[7].write_bytes(raw)
    old = stamps(store)
    logging.getLogger("genfun.experiments.sweeps.sweep").setLevel(logging.ERROR)
    resumed = run(store, None)
    named = resumed.attrs["recomputed"]
    new = stamps(store)
    written = {name for name in old if new[name] != old[name]}
    wrong = len(written ^ {cells[i].name for i in (3, 5, 7)}) + sum(cells[i].name not in named for i in (3, 5, 7))
    differ = bytes_that_differ(resumed, undisturbed)
    return [
        Claim("damaged store: bytes that differ", differ, 0.0, 0.0, "exact", SOURCE, named),
        Claim("damaged store: cells wrongly kept, computed or unnamed", wrong, 0.0, 0.0, "exact", SOURCE),
    ]


def claims(fast: bool = False) -> list[Claim]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        undisturbed = run(None, 2)
        result = [
            *killed_at_random(undisturbed, folder, 2 if fast else 5),
            worker_killed(undisturbed),
            full_disk(undisturbed, folder / "full"),
            *damaged_store(undisturbed, folder / "damaged"),
        ]
        return result if fast else [*result, dask_worker_killed(undisturbed)]


if __name__ == "__main__":
    run(Path(sys.argv[1]), 2, lambda done, stage: print(stage, flush=True))
