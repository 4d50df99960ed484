"""Run the parts one after another, each in a process of its own: a kernel that crashes takes its process with it.

The JSON has a part for each of: machine; agreement of the GPU's paths with NumPy; every method that is simulated;
speed of 1,000 settings x 10^4 steps; exact second moments in the space of samples; networks of width 4,000 against the
theory. A measurement that fails leaves its traceback there. With --small the same lines run in seconds on a
CPU, to see that they work.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.findings import Findings, failures

# Seconds that a part may take at most, if the limit of all leaves as much.
PARTS = {"machine": 60, "agreement": 110, "methods": 90, "speed": 110, "exact": 90, "network": 150}
START = 12
"""Seconds that a process needs to import torch and find the GPU; a part is told to end that much earlier."""


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="bash benchmarks/gpu.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--out", type=Path, required=True, help="folder for gpu.json")
    result.add_argument("--device", default="cuda", help="as torch names it")
    result.add_argument("--small", action="store_true", help="sizes that a CPU does in seconds")
    result.add_argument("--limit", type=float, default=330.0, help="seconds in all")
    result.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    result.add_argument("--here", action="store_true", help="the one part given, in this process")
    return result


def run_part(name: str, arguments: argparse.Namespace, limit: float) -> dict[str, Any]:
    """What one part found, from its file; its process is ended at the limit."""
    path = arguments.out / f"{name}.json"
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.gpu", "--here", "--parts", name, "--out", str(arguments.out)]
    command += ["--device", arguments.device, "--limit", f"{limit:.0f}", *(["--small"] if arguments.small else [])]
    environment = dict(os.environ)
    if arguments.device == "cpu":
        environment["TRITON_INTERPRET"] = "1"
    start, end = time.monotonic(), None
    try:
        code = subprocess.run(command, timeout=limit, check=False, env=environment).returncode
        if code:
            end = f"the process of this part ended with {code}"
    except subprocess.TimeoutExpired:
        end = f"stopped after {limit:.0f} s"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.unlink(missing_ok=True)
    found["wall_s"] = time.monotonic() - start
    return found if end is None else {**found, "failed": end}


def main() -> int:
    arguments = parser().parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.here:
        (name,) = arguments.parts
        until = time.monotonic() + arguments.limit - (0 if arguments.small else START)
        findings = Findings(arguments.out / f"{name}.json", arguments.device, arguments.small, until)
        importlib.import_module(f"benchmarks.gpu.{name}").measure(findings)
        return 0
    until = time.monotonic() + arguments.limit
    everything = Findings(arguments.out / "gpu.json", arguments.device, arguments.small, until)
    for name in arguments.parts:
        limit = min(PARTS[name], everything.left)
        print(f"== {name}, at most {limit:.0f} s", flush=True)
        found = {"skipped": "no time left"} if limit < START else run_part(name, arguments, limit)
        everything.keep(name, found)
    lines = failures(everything.found)
    print("\n".join([f"== {len(lines)} measurements failed or were skipped", *lines]), flush=True)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
