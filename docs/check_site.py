"""Check built pages: they load nothing from another host, and every link inside the site points to something.

python docs/check_site.py FOLDER

Links to other hosts need the network: `sphinx-build -b linkcheck docs FOLDER` follows those.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches without being asked, by element; of `link` the relations below.
LOADS = {
    ("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("video", "poster"),
    ("audio", "src"), ("embed", "src"), ("object", "data"), ("input", "src"), ("track", "src"), ("use", "href"),
    ("image", "href"),
}  # fmt: skip
RELATIONS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "manifest", "apple-touch-icon"}
IN_STYLE = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")


class _Page(HTMLParser):
    """The anchors of a page, what it loads and where its links go."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = {"", "top"}
        self.loads: list[str] = []
        self.links: list[str] = []
        self._style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._style = tag == "style"
        self.anchors |= {given["id"]} if "id" in given else set()
        self.loads += [given[name] for element, name in LOADS if element == tag and given.get(name)]
        self.loads += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]
        self.loads += _in_style(given.get("style", ""))
        if tag in {"a", "area", "link"} and given.get("href"):
            loaded = tag == "link" and RELATIONS & set(given.get("rel", "").lower().split())
            (self.loads if loaded else self.links).append(given["href"])

    def handle_data(self, data: str) -> None:
        if self._style:
            self.loads += _in_style(data)

    def handle_endtag(self, tag: str) -> None:
        self._style = False


def _in_style(text: str) -> list[str]:
    return [first or second for first, second in IN_STYLE.findall(text)]


def check(site: Path) -> tuple[list[str], dict[str, int]]:
    """Return what is wrong, a line each, and how much was looked at."""
    site = site.resolve()
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    count = {"pages": len(pages), "loads": 0, "links": 0, "external": 0}
    wrong = [] if pages else [f"{site}: no page"]

    def look(source: Path, url: str, loaded: bool) -> str | None:
        parts = urlsplit(url)
        if parts.scheme == "data":
            return None
        count["loads" if loaded else "external" if parts.scheme or parts.netloc else "links"] += 1
        if parts.scheme or parts.netloc:
            return "is loaded from another host" if loaded else None
        target = (source.parent / unquote(parts.path)).resolve() if parts.path else source
        target = target / "index.html" if target.is_dir() else target
        if parts.path.startswith("/") or not target.is_relative_to(site):
            return "leads out of the site"
        if not target.is_file():
            return "is not there"
        if not loaded and target in pages and unquote(parts.fragment) not in pages[target].anchors:
            return "has no such anchor"
        return None

    for path, page in pages.items():
        found = [(url, True) for url in page.loads] + [(url, False) for url in page.links]
        wrong += [f"{path.relative_to(site)}: {url} {fault}" for url, load in found if (fault := look(path, url, load))]
    for path in sorted(site.rglob("*.css")):
        found = [(url, look(path, url, True)) for url in _in_style(path.read_text(encoding="utf-8"))]
        wrong += [f"{path.relative_to(site)}: {url} {fault}" for url, fault in found if fault]
    return wrong, count


def main(folder: str) -> int:
    """Print what is wrong; 1 if anything is."""
    wrong, count = check(Path(folder))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print("{pages} pages, {loads} loaded files, {links} links inside;".format(**count), end=" ")
    print("{external} links to other hosts not checked".format(**count))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
