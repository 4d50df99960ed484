"""Record the answers, or compare them with those recorded."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from validation.fit_steps import MEASURED
from validation.recorded.best import MEASURED_SERIES
from validation.recorded.difference import RELATIVE, Difference, differences
from validation.recorded.everything import everything
from validation.recorded.plain import Cases, outcome

RECORDED = Path(__file__).resolve().parents[1] / "recorded.json"
REFUSAL = "ValueError"


def compute(cases: Cases) -> tuple[dict[str, Any], dict[str, float]]:
    """All results as they are recorded, and the processor time that each took in seconds."""
    results, seconds = {}, {}
    for name, case in cases.items():
        start = time.process_time()
        results[name] = outcome(case)
        seconds[name] = time.process_time() - start
    return results, seconds


def read(path: Path) -> dict[str, Any]:
    """What a file recorded."""
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, results: dict[str, Any]) -> None:
    """Record: one line a case."""
    lines = (f"{json.dumps(name)}:{json.dumps(x, separators=(',', ':'))}" for name, x in results.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def compare(recorded: dict[str, Any], now: dict[str, Any]) -> list[Difference]:
    """All that differs; a recorded case that is no longer computed differs too."""
    found = []
    for name, old in recorded.items():
        if name in now:
            # Through JSON, which makes lists of tuples, as on the way into the file.
            found += differences(old, json.loads(json.dumps(now[name])), name)
        elif not (name.startswith(MEASURED_SERIES) and not MEASURED.exists()):
            found.append(Difference(name, "a case", "missing", float("inf")))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m validation.recorded", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", type=Path, metavar="FILE", help="record")
    what.add_argument("--compare", type=Path, metavar="FILE", help="print what differs; exit status 1 if any does")
    parser.add_argument("--only", default="", metavar="START", help="cases whose name starts so")
    parser.add_argument("--times", action="store_true", help="print the slowest cases")
    arguments = parser.parse_args()
    results, seconds = compute({name: case for name, case in everything().items() if name.startswith(arguments.only)})
    if arguments.times:
        for name in sorted(seconds, key=lambda name: -seconds[name])[:20]:
            print(f"{seconds[name]:6.2f} s  {name}")
    print(f"{len(results)} cases in {sum(seconds.values()):.0f} s")
    if arguments.write:
        # Refusals are ValueErrors: anything else is a case that was wrongly written.
        if broken := [
            name for name, x in results.items() if isinstance(x, dict) and x.get("raises", REFUSAL) != REFUSAL
        ]:
            parser.error(f"cases that do not run: {', '.join(broken)}")
        write(arguments.write, results)
        return 0
    recorded = {name: x for name, x in read(arguments.compare).items() if name.startswith(arguments.only)}
    found = compare(recorded, results)
    for d in sorted(found, key=lambda d: -d.relative):
        print(f"{d.relative:9.1e}  {d.where}: {_short(d.recorded)} -> {_short(d.now)}")
    differing = sum(any(d.where.startswith(name) for d in found) for name in recorded)
    print(f"{len(recorded)} recorded, {differing} differ by more than {RELATIVE:g} or their stated error")
    if new := results.keys() - recorded.keys():
        print(f"{len(new)} not recorded: {', '.join(sorted(new)[:5])}")
    return 1 if found else 0


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


if __name__ == "__main__":
    sys.exit(main())
