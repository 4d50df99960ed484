"""Linear algebra on small matrices runs on one thread, and what ran on more does so again afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import genfun as gf
from genfun._threads import _controller, on_one_thread, one_thread
from genfun.sample_space.fast_pairs import HeavyBallPairs


def counts() -> list[int]:
    return [each["num_threads"] for each in _controller().info()]


def test_one_thread_inside_and_as_many_as_before_outside_however_it_is_nested() -> None:
    with _controller().limit(limits=2):
        before = counts()
        assert max(before) == 2
        with one_thread():
            assert set(counts()) == {1}
            with one_thread():
                pass
            assert set(counts()) == {1}
        assert counts() == before
        with one_thread(small=False):
            assert counts() == before
        with pytest.raises(KeyError), one_thread():
            raise KeyError
        assert counts() == before
        assert on_one_thread(counts)() == [1] * len(before)


def test_another_thread_that_enters_and_leaves_changes_nothing_for_the_first() -> None:
    def other() -> None:
        with one_thread():
            pass

    with _controller().limit(limits=2):
        with one_thread():
            worker = threading.Thread(target=other)
            worker.start()
            worker.join()
            assert set(counts()) == {1}
        assert max(counts()) == 2


def test_the_sums_of_a_curve_run_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    data, seen, kernel = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], n_samples=100, seed=0), [], HeavyBallPairs.kernel

    def watched(self: HeavyBallPairs, *rest: Any) -> Any:
        seen.append(max(counts()))
        return kernel(self, *rest)

    monkeypatch.setattr(HeavyBallPairs, "kernel", watched)
    with _controller().limit(limits=2):
        gf.predict(data, gf.SGD(0.1, batch_size=4), np.array([10, 10_000]))
    assert set(seen) == {1}


def test_importing_genfun_does_not_look_for_libraries() -> None:
    code = "import genfun, sys; assert 'threadpoolctl' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
