"""Time the explorer in a headless browser: from the move of a control to the curve that is drawn for it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import genfun as gf
from benchmarks.timing import machine

RESULTS = Path(__file__).with_name("explorer.json")
TARGET = 0.2
"""Seconds, at the median of every control."""
MOVES = 25
SERVE = "from genfun.explorer.server import serve; serve(0, None, lambda address: print(address, flush=True))"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,860",
)  # fmt: skip
PROBLEMS = {
    "MNIST, neural tangent kernel": "problem=mnist-ntk",
    "MNIST, pixels": "problem=mnist-pixels",
    "power law, 1,000 modes": "problem=power-law",
    "power law, infinite": "problem=power-law&n_modes=infinite&zeta=2.0&batch_size=100",
}
# Where each slider starts, and how far it is moved every time: to values that were never asked for before.
SLIDES = {
    "learning_rate": (-1.6, 0.03), "momentum": (-0.2, 0.03), "batch_size": (1.1, 0.05), "tau2": (-0.9, 0.06),
    "label_noise": (0.02, 0.02), "steps": (2.0, 0.1), "nu": (1.2, 0.04), "zeta": (0.3, 0.1), "n_modes": (1.5, 0.1),
}  # fmt: skip
OF_POWER_LAWS = ("nu", "zeta", "n_modes")
# In the page: set the value, and wait until the data of the curve have been replaced and a frame has been drawn.
MOVE = """
const [name, value, done] = arguments;
const all = Array.from(Bokeh.documents[0]._all_models.values());
const slider = all.find((m) => m.name === name);
const figure = all.find((m) => m.name === "curve");
const source = figure.renderers.find((r) => r.glyph.y?.field === "loss").data_source;
if (Math.abs(slider.value - value) < 1e-9) { done(null); return }
const late = setTimeout(() => done(null), 5000);
const changed = () => {
  clearTimeout(late);
  source.properties.data.change.disconnect(changed);
  const arrived = performance.now();
  requestAnimationFrame(() => requestAnimationFrame(() => done([arrived - begin, performance.now() - begin])));
};
source.properties.data.change.connect(changed);
const begin = performance.now();
slider.value = value;
"""
READY = """
if (!window.Bokeh || !Bokeh.documents.length) return false;
const words = Array.from(Bokeh.documents[0]._all_models.values()).find((m) => m.name === "words");
return Boolean(words && words.text && words.styles.opacity !== "0.35");
"""


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The address of a page."""
    with subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A browser without a window; SystemExit with the reason where there is none."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        raise SystemExit("skipped: no chromium with its chromedriver is installed")
    try:
        from selenium import webdriver
    except ImportError:
        raise SystemExit("skipped: selenium is not installed; it comes with the extra `dev`") from None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        opened.set_script_timeout(30)
        try:
            yield opened
        finally:
            opened.quit()


def measure(page: Any, address: str, query: str) -> dict[str, Any]:
    """Every slider of a problem, moved in small steps, each once the answer to the one before is drawn."""
    from selenium.webdriver.support.ui import WebDriverWait

    result = {}
    for name, (start, step) in SLIDES.items():
        if name in OF_POWER_LAWS and "power-law" not in query:
            continue
        page.get(f"{address}?{query}")
        WebDriverWait(page, 60).until(lambda driver: driver.execute_script(READY))
        found = [page.execute_async_script(MOVE, f"{name}_slider", start + i * step) for i in range(MOVES)]
        # The first starts what later ones find at work.
        times = [[1e-3 * ms for ms in pair] for pair in found[1:] if pair is not None]
        result[name] = _summary([pair[0] for pair in times]) | {
            "drawn_median_s": round(statistics.median(pair[1] for pair in times), 4)
        }
    return result


def _summary(times: list[float]) -> dict[str, Any]:
    median = statistics.median(times)
    return {
        "median_s": round(median, 4),
        "p95_s": round(statistics.quantiles(times, n=20)[-1], 4),
        "repeats": len(times),
        "target_s": TARGET,
        "target_met": median <= TARGET,
    }


def main() -> None:
    before = os.getloadavg()
    with browser() as page, served() as address:
        version = page.capabilities.get("browserVersion")
        found = {name: measure(page, address, query) for name, query in PROBLEMS.items()}
    load = before[0], os.getloadavg()[0]
    results = {
        "genfun": gf.__version__,
        "machine": machine() | {"browser": version, "load_average": [round(x, 1) for x in load]},
        "explorer": found,
    }
    text = json.dumps(results, indent=2) + "\n"
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
