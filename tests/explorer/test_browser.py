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

import numpy as np
import pytest

from benchmarks.explorer import FLAGS, SERVE
from genfun.explorer.controls import ONLY_WITH, SLIDERS
from genfun.explorer.state import State
from genfun.explorer.uploads import LARGEST

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
DRIVER = shutil.which("chromedriver")
PATIENCE = 60  # where others use the cores too
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

        WebDriverWait(self.driver, PATIENCE, 0.15).until(lambda _driver: done())

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


@pytest.fixture(scope="module")
def small(driver: Any, address: str) -> Page:
    """A page on few modes, opened once: to open one takes as long as what most tests do with it."""
    page = Page(driver, f"{address}?problem=power-law&n_modes=50&momentum=0.5&learning_rate=0.1")
    page.settled()
    return page


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
    ("sampling", "epochs"),
    ("problem", "power-law"),
    ("nu", "1.3"),
    ("nu_slider", 2.0),
    ("zeta", "1.5"),
    ("zeta_slider", 1.0),
    ("n_modes", "200"),
    ("n_modes_slider", 1.5),
]
MOVES += [("schedule", "hold"), ("hold", "0.8"), ("schedule", "constant"), ("hold_slider", 0.5)]
MOVES += [("average", "tail"), ("tail_slider", 0.4), ("tail", "0.5"), ("average", "ema"), ("decay", "0.9")]
MOVES += [("decay_slider", 0.99), ("average", "none"), ("below", "batch")]
AFTER = State(
    problem="power-law", nu=2.0, zeta=1.0, n_modes=32, learning_rate=0.1, momentum=-0.3, batch_size=32, tau2=None,
    label_noise=0.0, steps=100, below="batch",
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

    page.until(lambda: "Samples to loss" in page.get("words", "text"))
    assert [page.get(name, "visible") for name in ("batch", "phases")] == [True, False]
    page.press("best")
    page.until(lambda: "best at step 100" in page.get("answer", "text"))
    page.press("pin")
    page.until(lambda: page.get("pin", "label") == "take the pin out")
    page.press("use")
    page.until(lambda: "times less" in page.get("compared", "text"))
    # Whether a browser without a window lets a page write to the clipboard depends on the browser.
    page.press("copy")
    page.until(lambda: page.get("copy", "label") in ("copied", "not allowed"))
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
def test_every_control_is_reached_by_the_tab_key_and_has_a_name(driver: Any, small: Page) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    page = small
    name = """
    let e = document.activeElement;
    while (e.shadowRoot && e.shadowRoot.activeElement) e = e.shadowRoot.activeElement;
    const label = e.labels && e.labels.length ? e.labels[0].innerText : e.getAttribute("aria-label") || e.innerText;
    return [e.getAttribute("role") || e.type || e.tagName, (label || "").trim(), e.title];
    """
    seen = []
    for _ in range(40):
        ActionChains(driver, duration=0).send_keys(Keys.TAB).perform()
        seen.append(tuple(page.js(name)))
        if seen[-1][1] == "Python":
            break
    titles = [row[0] for name, row in SLIDERS.items() if name not in ONLY_WITH]  # which their choices show
    for kind in ("text", "slider"):
        assert [label for what, label, _ in seen if what == kind and label != "link"] == titles
        assert all(title for what, label, title in seen if what == kind and label != "link"), "units in the tooltip"
    rest = [label for what, label, _ in seen if what not in ("text", "slider")]
    words = [
        "problem",
        "own file",
        "schedule",
        "average",
        "third view",
        "own runs",
        "find best settings",
        "simulate 20 runs",
        "pin this setting",
    ]
    words += ["copy link", "figure", "CSV", "Python"]
    assert rest == words

    # And a slider moves by the arrow keys.
    page.js(ALL_MODELS + HANDLE + ".focus()", "momentum_slider")
    before = page.get("link")
    ActionChains(driver, duration=0).send_keys(Keys.ARROW_RIGHT).perform()
    page.until(lambda: page.get("link") != before)
    assert float(page.get("momentum")) == pytest.approx(0.51)
    value = ALL_MODELS + "return " + HANDLE + ".getAttribute('aria-valuetext')"
    page.until(lambda: page.js(value, "momentum_slider") == page.get("momentum"))


HANDLE = (
    "Bokeh.index.find_one_by_id(all.find(m => m.name === arguments[0]).id).el.shadowRoot.querySelector('.noUi-handle')"
)
CHOOSE = ALL_MODELS + (
    "return Bokeh.index.find_one_by_id(all.find(m => m.name === 'file').id).el.shadowRoot.querySelector('input')"
)


@pytest.mark.slow
def test_the_point_on_the_map_is_moved_by_a_click_and_by_dragging(driver: Any, small: Page, tmp_path: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    page = small
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
def test_a_file_is_chosen_in_the_page(driver: Any, address: str, small: Page, tmp_path: Path) -> None:
    page = small
    rng = np.random.default_rng(0)
    name = "a <b onclick=x>.npz"
    X, y = rng.standard_normal((60, 9)) / np.arange(1, 10), rng.standard_normal(60)
    np.savez(tmp_path / name, X=X, y=y)

    def choose(path: Path) -> None:
        page.js(CHOOSE).send_keys(str(path))

    choose(tmp_path / name)
    page.until(lambda: page.get("problem") == "file")
    page.settled()
    assert "60 samples" in page.get("words", "text")
    assert page.get("link").startswith("?problem=file&")
    page.until(lambda: (page.js(SHOWN) or "").endswith(name))  # as text
    page.press("simulate")
    page.until(lambda: "20 runs, 1,000 steps" in page.get("answer", "text"))
    page.shot(tmp_path / "own_file.png")

    # Again the same name, with other numbers.
    np.savez(tmp_path / name, X=X[:30], y=y[:30])
    before = page.get("link")
    choose(tmp_path / name)
    page.until(lambda: page.get("link") != before)
    page.until(lambda: "30 samples" in page.get("words", "text"))

    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with open(tmp_path / "large.npz", "wb") as large:
        large.truncate(LARGEST + 1)
    for path, words in (("bad.npz", "is no NPZ archive"), ("large.npz", "larger than")):
        choose(tmp_path / path)
        page.until(lambda words=words: words in page.get("message", "text"))
        assert page.get("message", "visible")
    page.shot(tmp_path / "bad_file.png")
    page.set("momentum", "0.25")  # the page lives on
    page.until(lambda: "momentum=0.25" in page.get("link"))

    # What it is a link to is not in it.
    link = page.get("link")
    other = Page(driver, address + link)
    other.until(lambda: "no file was given" in (other.get("message", "text") or ""))
    assert other.severe() == []


SHOWN = ALL_MODELS + (
    "const v = Bokeh.index.find_one_by_id(all.find(m => m.name === 'problem').id);"
    "return v.el.shadowRoot.querySelector('select').selectedOptions[0].innerText"
)


SIZES = [(1280, 860), (1440, 900), (1920, 1080), (900, 1100), (390, 844)]
BOXES = """
const boxes = {};
for (const m of all) {
  const view = m.name === null ? null : Bokeh.index.find_one_by_id(m.id);
  if (view) { const r = view.el.getBoundingClientRect(); boxes[m.name] = [r.left, r.top, r.right, r.bottom] }
}
return boxes;
"""


@pytest.mark.slow
def test_the_page_fits_its_window(driver: Any, address: str, tmp_path: Path) -> None:
    page = Page(driver, f"{address}?problem=power-law&zeta=2.0&n_modes=infinite&batch_size=100&learning_rate=0.4")
    page.settled()
    try:
        for width, height in SIZES:
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            narrow = width < 1120

            def boxes() -> Any:
                return page.js(ALL_MODELS + BOXES)

            # The figures fill the window to its right edge, with room for the margin and a scroll bar.
            page.until(lambda: width - 40 < boxes()["map"][2] < width)  # noqa: B023
            found = boxes()
            assert page.js("return document.documentElement.scrollWidth <= window.innerWidth"), (width, height)
            assert (found["map"][1] >= found["curve"][3]) is narrow, "one column on narrow screens, else two"
            above = ["problem", "file", "nu", "tau2_slider", "runs", "best", "use", "simulate", "pin", "link", "copy"]
            above += ["links", "curve"]
            phone = width < 700  # one column in all: the pictures come after the controls
            for name in [] if phone else above + ([] if narrow else ["map", "phases"]):
                assert found[name][3] <= height, f"{name} is below the fold at {width} x {height}"
            assert phone or found["links"][2] < found["curve"][0]
            page.shot(tmp_path / f"page_{width}x{height}.png")
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert page.severe() == []


@pytest.mark.slow
def test_a_server_that_ends_says_so_and_leaves_no_files(driver: Any, tmp_path: Path) -> None:
    data, folder = tmp_path / "given.csv", tmp_path / "temporary"
    folder.mkdir()
    data.write_text("\n".join(f"{i % 5},{i % 3},{i % 7}" for i in range(40)))
    code = SERVE.replace("None", repr(str(data)))
    environment = os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            page = Page(driver, server.stdout.readline().strip())
            page.until(lambda: "40 samples" in (page.get("words", "text") or ""))
            assert page.get("message", "text") == ""
            page.js(CHOOSE).send_keys(str(data))
            page.until(lambda: len(list(folder.glob("genfun-*/*.csv"))) == 1)
        finally:
            server.terminate()
        assert server.wait(10) == 0
    page.until(lambda: not page.js("return document.getElementById('lost').hidden"))
    assert list(folder.iterdir()) == []
    page.shot(tmp_path / "server_gone.png")
    driver.get("about:blank")
    page.severe()  # a lost connection is no news for the tests that follow


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
