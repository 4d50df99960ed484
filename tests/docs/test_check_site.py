"""The check of the built documentation finds what would be fetched and what leads nowhere, and nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[2] / "docs" / "check_site.py"
GOOD = """<!doctype html><html><head><meta name="viewport"><link rel="stylesheet" href="_static/a.css?v=1">
<link rel="canonical" href="https://example.org/"><link rel="icon" href="data:image/svg+xml,x"></head>
<body id="here"><a href="#here">x</a><a href="#">top</a><a href="sub/">sub</a>
<a href="sub/index.html#caf%C3%A9">y</a>
<a href="https://example.org/#x">elsewhere</a>
<img src="_static/a%20b.png" srcset="_static/a%20b.png 2x"></body></html>"""


@pytest.fixture(scope="module")
def checker() -> Any:
    spec = importlib.util.spec_from_file_location("check_site", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "_static").mkdir()
    (tmp_path / "index.html").write_text(GOOD, encoding="utf-8")
    (tmp_path / "sub" / "index.html").write_text('<p id="café"><a href="../index.html#here">x</a>', encoding="utf-8")
    (tmp_path / "_static" / "a.css").write_text("a { background: url('a%20b.png') }", encoding="utf-8")
    (tmp_path / "_static" / "a b.png").touch()
    return tmp_path


def test_a_sound_site_passes(checker: Any, site: Path, capsys: pytest.CaptureFixture[str]):
    assert checker.main(str(site)) == 0
    assert capsys.readouterr().out == "2 pages, 4 loaded files, 5 links inside; 2 links to other hosts not checked\n"


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        ('<script src="https://cdn.example.org/x.js"></script>', "another host"),
        ('<script src="//cdn.example.org/x.js"></script>', "another host"),
        ('<link rel="preload stylesheet" href="http://example.org/x.css">', "another host"),
        ('<img src="https://example.org/x.png">', "another host"),
        ('<img srcset="_static/a%20b.png, https://example.org/x.png 2x">', "another host"),
        ('<p style="background: url(https://example.org/x.png)">', "another host"),
        ('<style>@import "https://example.org/x.css";</style>', "another host"),
        ('<script src="_static/gone.js"></script>', "is not there"),
        ('<a href="gone.html">', "is not there"),
        ('<a href="#gone">', "no such anchor"),
        ('<a href="#viewport">', "no such anchor"),
        ('<a href="sub/index.html#here">', "no such anchor"),
        ('<a href="../other.html">', "out of the site"),
        ('<a href="/index.html">', "out of the site"),
    ],
)
def test_a_fault_is_found_and_named(checker: Any, site: Path, capsys: Any, added: str, fault: str):
    (site / "index.html").write_text(GOOD.replace("</body>", f"{added}</body>"), encoding="utf-8")
    assert checker.main(str(site)) == 1
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("index.html: ")
    assert fault in first
    assert len(rest) == 1


def test_a_font_from_another_host_is_found_in_a_style_file(checker: Any, site: Path):
    (site / "_static" / "a.css").write_text('@font-face { src: url("https://example.org/f.woff2") }', encoding="utf-8")
    wrong, _ = checker.check(site)
    assert wrong == ["_static/a.css: https://example.org/f.woff2 is loaded from another host"]


def test_a_folder_without_pages_is_no_site(checker: Any, tmp_path: Path):
    wrong, _ = checker.check(tmp_path)
    assert len(wrong) == 1
