"""One report, and its files. As in tests/conftest.py, genfun is not imported before its shape checks."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def data():
    import numpy as np

    from genfun.data import gaussian

    k = np.arange(1.0, 31.0)
    return gaussian(k**-1.5, k**-1.75, n_samples=200, noise_variance=0.01, seed=0)


@pytest.fixture(scope="session")
def report(data):
    from genfun.report import build

    sizes = [1, 10, 200]
    return build(data, batch_sizes=sizes, momenta=[0.0, 0.9], last_step=1000, best_step=60, target="test <&> data")


@pytest.fixture(scope="session")
def written(report, tmp_path_factory):
    from genfun.report import write

    return write(report, tmp_path_factory.mktemp("out"))
