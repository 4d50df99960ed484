"""The explorer in headless Chromium: every control moved, every button pressed, nothing in the console."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from genfun.explorer.state import State

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,860",
)  # fmt: skip
SERVE = "from genfun.explorer.server import serve; serve(0, None, lambda address: print(address, flush=True))"
PATIENCE = 15
ALL_MODELS = "const all = Array.from(Bokeh.documents[0]._all_models.values());"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    pytest.importorskip("bokeh", reason="the page needs the extra `explorer`")
    with subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: no browser test")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium with its chromedriver is installed: no browser test")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield browser
    with contextlib.suppress(Exception):
        browser.quit()


class Page:
    """What a test does with the page, through the models that the browser holds."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        driver.get(url)
        self.until(lambda: self.get("link") is not None)

    def until(self, done: Callable[[], Any]) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, PATIENCE, 0.05).until(lambda _driver: done())

    def js(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(code, *arguments)

    def get(self, name: str, what: str = "value") -> Any:
        code = "if (!window.Bokeh || !Bokeh.documents.length) return null;"
        code += ALL_MODELS + "const m = all.find(m => m.name === arguments[0]); return m ? m[arguments[1]] : null;"
        return self.js(code, name, what)

    def set(self, name: str, value: Any) -> None:
        self.js(ALL_MODELS + "all.find(m => m.name === arguments[0]).value = arguments[1];", name, value)

    def press(self, name: str) -> None:
        code = ALL_MODELS + "const view = Bokeh.index.find_one_by_id(all.find(m => m.name === arguments[0]).id);"
        self.js(code + "view.el.shadowRoot.querySelector('button').click();", name)

    def settled(self) -> None:
        """Until the words belong to what is shown."""
        self.until(lambda: f"learning rate {float(self.get('learning_rate')):.4g}" in (self.get("words", "text") or ""))

    def severe(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def shot(self, path: Path) -> None:
        self.driver.save_screenshot(str(path))
        assert path.stat().st_size > 20_000
        kept = os.environ.get("GENFUN_SCREENSHOTS")
        if kept:
            shutil.copy(path, Path(kept) / path.name)


MOVES = [
    ("momentum", "0.7"),
    ("momentum_slider", -0.3),
    ("learning_rate", "0.2"),
    ("learning_rate_slider", -1.0),
    ("batch_size", "full"),
    ("batch_size_slider", 1.5),
    ("tau2", "0.5"),
    ("tau2_slider", -1.0),
    ("label_noise", "0.01"),
    ("label_noise_slider", 0.2),
    ("steps", "1e4"),
    ("steps_slider", 2.0),
    ("problem", "mnist-pixels"),
    ("problem", "power-law"),
    ("nu", "1.3"),
    ("nu_slider", 2.0),
    ("zeta", "1.5"),
    ("zeta_slider", 1.0),
    ("n_modes", "200"),
    ("n_modes_slider", 1.5),
]
AFTER = State(
    problem="power-law", nu=2.0, zeta=1.0, n_modes=32, learning_rate=0.1, momentum=-0.3, batch_size=32, tau2=None,
    label_noise=0.0, steps=100,
)  # fmt: skip


@pytest.mark.slow
def test_every_control_moves_the_page_and_nothing_is_logged(driver: Any, address: str, tmp_path: Path) -> None:
    page = Page(driver, address)
    page.settled()
    page.shot(tmp_path / "at_first.png")
    for name, value in MOVES:
        before = page.get("link")
        page.set(name, value)
        page.until(lambda before=before: page.get("link") != before)
    assert page.get("link") == f"?{AFTER.query}"
    assert page.js("return window.location.search") == f"?{AFTER.query}"

    page.press("best")
    page.until(lambda: "best at step 100" in page.get("answer", "text"))
    page.press("simulate")
    page.until(lambda: "20 runs, 100 steps" in page.get("answer", "text"))
    page.settled()
    page.shot(tmp_path / "moved.png")
    assert page.severe() == []
    with urllib.request.urlopen(f"{address}updates.json", timeout=10) as answer:
        taken = json.load(answer)
    print(f"{taken['updates']} updates, median {taken['median_ms']} ms")
    assert taken["updates"] >= len(MOVES)


@pytest.mark.slow
def test_the_point_on_the_map_is_moved_by_a_click_and_by_dragging(driver: Any, address: str, tmp_path: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    page = Page(driver, f"{address}?problem=power-law&n_modes=50&momentum=0.0&learning_rate=0.1")
    page.settled()
    find = ALL_MODELS + "const v = Bokeh.index.find_one_by_id(all.find(m => m.name === 'map').id); const f = v.frame;"
    place = "const r = v.el.getBoundingClientRect(); return [r.x + f.x_scale.compute(arguments[0]),"
    place += "r.y + f.y_scale.compute(arguments[1])];"

    def at(rate: float, momentum: float) -> list[float]:
        return page.js(find + place, rate, momentum)

    def act(*moves: Any) -> None:
        before = page.get("link")
        chain = ActionChains(driver, duration=30)
        for move in moves:
            chain = move(chain)
        chain.perform()
        page.until(lambda: page.get("link") != before)

    def to(rate: float, momentum: float) -> Callable[[Any], Any]:
        def move(chain: Any) -> Any:
            chain.w3c_actions.pointer_action.move_to_location(*(round(x) for x in at(rate, momentum)))
            return chain

        return move

    # A pixel of the map is a factor 1.03 of the learning rate and 0.008 of the momentum; allow three.
    act(to(0.3, 0.5), lambda c: c.click())
    assert float(page.get("learning_rate")) == pytest.approx(0.3, rel=0.1)
    assert float(page.get("momentum")) == pytest.approx(0.5, abs=0.025)
    act(to(0.3, 0.5), lambda c: c.click_and_hold(), to(0.1, 0.0), to(0.05, -0.4), lambda c: c.release())
    page.until(lambda: float(page.get("momentum")) < -0.35)
    assert float(page.get("learning_rate")) == pytest.approx(0.05, rel=0.1)
    assert float(page.get("momentum")) == pytest.approx(-0.4, abs=0.025)
    page.settled()
    page.shot(tmp_path / "dragged.png")
    assert page.severe() == []


@pytest.mark.slow
def test_hostile_text_gets_a_message_and_stays_text(driver: Any, address: str, tmp_path: Path) -> None:
    evil = "%3Cimg%20src%3Dx%20onerror%3D%22window.hit%3D1%22%3E"
    page = Page(driver, f"{address}?momentum={evil}&{evil}=1&steps=-5&nu=nan&batch_size=10")
    page.until(lambda: page.get("message", "text").count("<p") == 4)
    for name, word in [
        ("learning_rate", "nan"), ("momentum", "1e400"), ("steps", "<script>window.hit=1</script>"),
        ("batch_size", "999999"), ("tau2", "-inf"), ("label_noise", "-1"),
    ]:  # fmt: skip
        before = page.get("message", "text")
        page.set(name, word)
        page.until(lambda before=before: page.get("message", "text") != before)
        impossible = name in ("tau2", "label_noise")  # the batch size typed before stays, and stays wrong
        assert page.get("message", "text").count("<p") == (2 if impossible else 1)
    page.shot(tmp_path / "hostile.png")
    assert page.js("return window.hit === undefined && document.querySelector('img') === null")
    assert page.severe() == []
