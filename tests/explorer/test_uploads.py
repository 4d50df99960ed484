"""Files chosen in the page: what is refused, who can read them, and when they are gone."""

from __future__ import annotations

import base64
import io
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest

from genfun.explorer import model
from genfun.explorer.beside import of_best
from genfun.explorer.problems import fitting
from genfun.explorer.state import State
from genfun.explorer.uploads import LARGEST, LARGEST_UNPACKED, Uploads, name_of

FILE = State(problem="file")
SCRIPT = "<img src=x onerror=alert(1)>.npz"


def _npz(seed: int = 0, samples: int = 12, **change: Any) -> bytes:
    rng = np.random.default_rng(seed)
    arrays = {"X": rng.standard_normal((samples, 4)), "y": rng.standard_normal(samples)} | change
    box = io.BytesIO()
    np.savez(box, **arrays)
    return box.getvalue()


def _declared(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    """An archive whose arrays have headers only."""
    head, box = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": kind, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(box, "w") as archive:
        for name in ("X.npy", "y.npy"):
            archive.writestr(name, head.getvalue())
    return box.getvalue()


def _zeros(size: int) -> bytes:
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("X.npy", "w") as member:
        for _ in range(size // 2**20 + 1):
            member.write(bytes(2**20))
    return box.getvalue()


def _text(body: bytes) -> str:
    return base64.b64encode(body).decode()


@pytest.fixture
def uploads() -> Any:
    made = Uploads()
    yield made
    made.close()


HOSTILE = {
    "an empty file": ("x.npz", b"", "is empty"),
    "another extension": ("x.exe", _npz(), "no .npz or .csv"),
    "no extension": ("npz", _npz(), "no .npz or .csv"),
    "a pickle": ("x.pkl", b"cos\nsystem\n(S'true'\ntR.", "no .npz or .csv"),
    "a script as the name": ("<script>alert(1)</script>", _npz(), "no .npz or .csv"),
    "text called npz": ("x.npz", b"hello", "no NPZ archive"),
    "a truncated archive": ("x.npz", _npz()[:-90], "no NPZ archive"),
    "damaged bytes": ("x.npz", _npz().replace(b"NUMPY", b"NUMPX", 1), "cannot be read|X must"),
    "nan": ("x.npz", _npz(X=np.full((12, 2), np.nan)), "X\\[0, 0\\] is nan"),
    "objects": ("x.npz", _declared((3,), "|O"), "pickle"),
    "a huge shape": ("x.npz", _declared((10**9, 10**6)), "cannot be read"),
    "a negative shape": ("x.npz", _declared((-5, 3)), "cannot be read"),
    "other keys": ("x.npz", _npz(y=np.ones(12))[:0] + _zeros(10), "it needs X, y"),
    "zeros that unpack to more than memory": ("x.npz", _zeros(LARGEST_UNPACKED), "more than 64"),
    "no table": ("x.csv", bytes(range(256)), "no text table"),
    "nan in a table": ("x.csv", b"1,2\n3,nan\n", "is missing"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_gets_a_message_and_is_not_kept(uploads: Uploads, case: str) -> None:
    told, body, words = HOSTILE[case]
    with pytest.raises(ValueError, match=words):
        fitting(FILE, uploads.keep(told, _text(body)).path)


def test_a_file_that_is_too_large_is_refused_before_it_is_decoded(uploads: Uploads) -> None:
    with pytest.raises(ValueError, match=f"larger than {LARGEST // 2**20} MiB"):
        uploads.keep("x.csv", "A" * (4 * (LARGEST // 3 + 1) + 1))
    with pytest.raises(ValueError, match="did not arrive whole"):
        uploads.keep("x.csv", "!!!")


@pytest.mark.parametrize(
    ("told", "name"),
    [("../../x.npz", "x.npz"), ("/etc/x.csv", "x.csv"), ("C:\\d\\x.npz", "x.npz"), ("a\x00\nb.npz", "ab.npz")],
)
def test_a_name_is_never_a_path(uploads: Uploads, told: str, name: str) -> None:
    upload = uploads.keep(told, _text(_npz()))
    assert upload.name == name_of(told) == name
    other = uploads.keep("x.npz", _text(_npz()))
    assert Path(upload.path).parent == Path(other.path).parent, "all in the one folder of the server"
    assert len(name_of("a" * 500 + ".npz")) <= 60


def test_a_second_file_of_the_same_name_shows_its_own_numbers(uploads: Uploads) -> None:
    first, second = (uploads.keep("same.npz", _text(_npz(seed))) for seed in (0, 1))
    losses = [model.curve(fitting(FILE, u.path), u.path).prediction.loss for u in (first, second)]
    assert not np.allclose(*losses)


def test_a_file_is_opened_by_its_word_alone_and_gone_once_dropped(uploads: Uploads) -> None:
    upload = uploads.keep("x.npz", _text(_npz()))
    assert uploads.find(upload.key) == upload
    for key in ("", "x.npz", upload.path, upload.key[:-1]):
        with pytest.raises(ValueError, match="closed"):
            uploads.find(key)
    uploads.drop(upload)
    assert not Path(upload.path).exists()
    with pytest.raises(ValueError, match="closed"):
        uploads.find(upload.key)


class Opened:
    """A page without a browser, whose threads deliver at once."""

    def __init__(self, uploads: Uploads, query: dict[str, str] | None = None) -> None:
        pytest.importorskip("bokeh", reason="the page needs the extra `explorer`")
        from bokeh.document import Document

        from genfun.explorer.view import View

        self.document: Any = Document()
        self.document.add_next_tick_callback = lambda work: work()
        self.view: Any = View(self.document, query or {"problem": "power-law", "n_modes": "9"}, uploads)

    def choose(self, told: str, body: bytes) -> None:
        done = threading.Event()
        show = self.view._show_file
        self.view._show_file = lambda *found: (show(*found), done.set())
        self.view.message.text = ""
        self.view._take(told, _text(body))
        # A name without the ending is refused at once.
        assert "no .npz" in self.view.message.text or done.wait(20)

    def runs(self, told: str, body: bytes) -> None:
        done = threading.Event()
        show = self.view._show_own_runs
        self.view._show_own_runs = lambda *found: (show(*found), done.set())
        self.view.message.text = ""
        self.view._take_runs(told, _text(body))
        assert "is no .csv" in self.view.message.text or done.wait(20)

    def close(self) -> None:
        for callback in self.document.session_destroyed_callbacks:
            callback(None)


def test_a_page_shows_the_file_chosen_in_it_until_it_is_closed(uploads: Uploads) -> None:
    page = Opened(uploads)
    page.choose("mine.npz", _npz(0))
    view = page.view
    assert view.state.problem == "file"
    first = view.path
    shown = view.curve.lines.data["loss"]
    np.testing.assert_array_equal(shown, model.curve(view.state, first).prediction.loss)
    assert view.controls.problem.options[-1] == ("file", "your file mine.npz")
    assert view.link.value.startswith("?problem=file&"), "the link to share opens no file"
    assert "upload" not in view.link.value
    assert "does not carry your file" in view.links.text
    page.choose("mine.npz", _npz(1))
    assert not np.allclose(view.curve.lines.data["loss"], shown)
    assert not Path(first).exists(), "the file before is gone"
    last = view.path
    page.close()
    assert not Path(last).exists()


def test_a_bad_file_leaves_the_page_as_it_was(uploads: Uploads) -> None:
    page = Opened(uploads)
    page.choose("mine.npz", _npz())
    before, path = page.view.state, page.view.path
    for told, body in ((SCRIPT, _npz()[:-90]), (SCRIPT, b"hello"), ("<b>", b"x")):
        page.choose(told, body)
        assert (page.view.state, page.view.path) == (before, path)
        assert "&lt;" in page.view.message.text
        assert "<img" not in page.view.message.text
        assert "<b>" not in page.view.message.text
    assert "genfun-" not in page.view.message.text, "no path of ours"
    page.close()


def test_a_page_that_is_closed_while_it_reads_leaves_no_file(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Opened(uploads)
    reading, go = threading.Event(), threading.Event()
    monkeypatch.setattr("genfun.explorer.view.fitting", lambda *_: (reading.set(), go.wait(20)))
    page.view._take("mine.npz", _text(_npz()))
    assert reading.wait(20)
    folder = Path(uploads.keep("x.npz", _text(_npz())).path).parent
    assert len(list(folder.iterdir())) == 2
    page.close()
    go.set()
    assert len(list(folder.iterdir())) == 1, "only that of nobody's page"


@pytest.mark.slow
def test_another_page_does_not_see_the_file(uploads: Uploads) -> None:
    page = Opened(uploads)
    page.choose("mine.npz", _npz())
    query = dict(part.split("=") for part in page.view.link.value[1:].split("&"))
    other = Opened(uploads, query)
    assert other.view.path is None
    assert "no file was given" in other.view.message.text
    assert list(other.view.curve.lines.data["step"]) == []
    page.close()
    other.close()


def _runs(scale: float = 1.0) -> bytes:
    return f"run,step,loss\na,1,{0.5 * scale}\na,100,{0.1 * scale}\nb,1,{0.4 * scale}\nb,100,nan\n".encode()


@pytest.mark.slow
def test_runs_chosen_in_the_page_are_laid_over_the_curve_and_compared_in_words(uploads: Uploads) -> None:
    page = Opened(uploads)
    page.runs("my <b>runs.csv", _runs())
    assert [list(line) for line in page.view.curve.own.data["losses"]] == [[0.5, 0.1], [0.4]]
    assert "my &lt;b&gt;runs.csv: 2 runs; measured over predicted" in page.view.compared.text
    before = page.view.compared.text
    page.view._become(replace(page.view.state, learning_rate=0.05))
    assert page.view.compared.text != before, "the words are about the setting that is shown"
    low, high = page.view.curve.figure.y_range.start, page.view.curve.figure.y_range.end
    page.runs("high.csv", _runs(50.0))
    assert page.view.curve.figure.y_range.end >= 2.0 * 25.0 > high
    assert page.view.curve.figure.y_range.start <= low
    page.runs("runs.npz", _npz())
    assert "is no .csv or .tsv file" in page.view.message.text
    page.runs("bad.csv", b"a,b\n1,2\n")
    assert "bad.csv has no column that looks like steps" in page.view.message.text
    assert "genfun-" not in page.view.message.text, "no path of ours"
    assert not uploads._kept
    page.close()


@pytest.mark.slow
def test_a_pinned_setting_stays_to_be_compared_with(uploads: Uploads) -> None:
    page = Opened(uploads)
    view = page.view
    first = view.state
    view._pin()
    np.testing.assert_array_equal(view.curve.pinned.data["loss"], view.curve.lines.data["loss"])
    view._become(replace(first, learning_rate=0.6, steps=50))
    expected = model.curve(replace(first, steps=50)).prediction
    np.testing.assert_array_equal(view.curve.pinned.data["loss"], expected.loss)
    assert view.map.pinned.data == {"x": [first.learning_rate], "y": [first.momentum]}
    ratio = model.loss_at(replace(first, steps=50), 50) / model.loss_at(view.state, 50)
    assert f"{ratio:.3g} times less" in view.compared.text
    view._become(replace(view.state, nu=2.0))
    assert view.map.pinned.data == {"x": [], "y": []}, "no setting of this map"
    assert "on power law with nu 1.5, zeta 0.5: loss" in view.compared.text
    view._pin()
    assert list(view.curve.pinned.data["loss"]) == []
    assert view.compared.text == ""
    page.close()


@pytest.mark.slow
def test_best_settings_are_used_by_a_button_while_they_are_the_best(uploads: Uploads) -> None:
    page = Opened(uploads)
    view = page.view
    assert view.asked.use.disabled
    found = model.best(view.state)
    view.asked._found(of_best(view.state, view.path), found, None)
    assert not view.asked.use.disabled
    view.asked.take()
    assert view.state.learning_rate == pytest.approx(found.method.learning_rate, rel=1e-3)
    assert view.state.momentum == pytest.approx(found.method.momentum, abs=1e-4)
    assert "best at step" in view.asked.answer.text
    assert view.map.star.data["x"] == [found.method.learning_rate]
    view._become(replace(view.state, batch_size=2))
    assert view.asked.use.disabled, "of another batch size it is not the best"
    assert view.asked.answer.text == ""
    assert view.map.star.data["x"] == []
    page.close()


@pytest.mark.slow
def test_sliders_end_where_the_problem_does(uploads: Uploads) -> None:
    page = Opened(uploads)
    rng = np.random.default_rng(0)
    page.choose("large.npz", _npz(X=1e3 * rng.standard_normal((12, 4))))
    view, slider = page.view, page.view.controls.sliders["learning_rate"]
    top = 4.0 / model.pose(view.state, view.path).problem.lambda_max
    assert slider.end == pytest.approx(np.log10(top), abs=0.011)
    assert slider.start == pytest.approx(slider.end - model.DECADES)
    assert view.state.learning_rate < 1e-5, "no limit of the page is above what these data need"
    assert slider.value == pytest.approx(np.log10(view.state.learning_rate), abs=0.011)
    assert view.controls.sliders["batch_size"].end == pytest.approx(np.log10(12), abs=0.011)
    page.close()


def test_a_pinned_setting_that_cannot_be_shown_leaves_the_page_and_says_why(uploads: Uploads) -> None:
    page = Opened(uploads, {"problem": "power-law", "n_modes": "9", "pinned": "problem=file"})
    assert page.view._pinned is None
    assert "the pinned setting: no file was given" in page.view.message.text
    assert len(page.view.curve.lines.data["loss"]) > 100
    page.close()


def test_a_page_opens_with_the_setting_that_its_link_has_pinned_and_hands_it_on(uploads: Uploads) -> None:
    first = Opened(uploads)
    first.view._pin()
    query = {"problem": "power-law", "n_modes": "9", "momentum": "0.7", "pinned": first.view.state.query}
    page = Opened(uploads, query)
    assert "This one: SGD with learning rate 0.3, momentum 0.7" in page.view.compared.text
    assert dict(parse_qsl(page.view.link.value.removeprefix("?"))) == query
    page.view._pin()
    assert "pinned" not in page.view.link.value
    first.close()
    page.close()


def test_the_columns_of_a_table_are_offered_and_another_target_brings_its_own_rate(uploads: Uploads) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3)) * [1.0, 1.0, 30.0]
    body = "a,b,c\n" + "\n".join(",".join(f"{v:.5f}" for v in row) for row in x) + "\n"
    page = Opened(uploads)
    page.choose("own.csv", body.encode())
    view, choice = page.view, page.view.controls.choices["target"]
    assert [name for name, _ in choice.options] == ["", "a", "b", "c"]
    assert choice.visible
    before, done = view.state.learning_rate, threading.Event()
    show = view._show_fitted
    view._show_fitted = lambda *found: (show(*found), done.set())
    choice.value = "a"
    assert done.wait(20)
    assert view.state.target == "a"
    assert view.state.learning_rate < before / 100.0, "the large column is a feature now"
    view._change("problem", "power-law")
    assert not choice.visible
    assert view.state.target == ""
    page.close()
