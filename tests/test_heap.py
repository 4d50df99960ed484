"""What working arrays give back is there for the next ones."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNTED = """
import resource, sys
import numpy as np
if sys.argv[1] == "genfun":
    import genfun.problems.bins
faults = []
for _ in range(20):
    np.full(250_000, 1.0)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[0])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have ways of their own")
def test_arrays_of_two_megabytes_are_mapped_once_and_not_every_time():
    plain, kept = (
        int(subprocess.run([sys.executable, "-c", COUNTED, name], capture_output=True, check=True).stdout)
        for name in ("numpy", "genfun")
    )
    # 19 arrays of 489 pages of 4 KiB each, or fewer larger ones.
    assert kept < max(10, plain // 4)
