"""Sphinx settings. Nothing is fetched while building; genfun itself makes the gallery, the derivation, the help and
the page with sliders."""

from __future__ import annotations

import importlib.util
import logging
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

project = "genfun"
author = "The genfun authors"
project_copyright = author
GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "kappa": "κ", "lambda": "λ", "nu": "ν", "tau": "τ", "zeta": "ζ"}
_version = re.search(r'__version__ = "(.+)"', (ROOT / "genfun" / "_version.py").read_text(encoding="utf-8"))
assert _version is not None
release = version = _version.group(1)

extensions = [
    "mathml",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "_commands.md"]
html_math_renderer = "mathml"

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
math_number_all = False
math_eqref_format = "({number})"

autodoc_member_order = "groupwise"
# Kinds and shapes are in the Parameters sections, in words.
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

# "momentum" is an attribute of several results: a bare name in a docstring is a word, no link.
suppress_warnings = ["ref.python"]

# A doctest ends in an empty line, which is not shown.
highlight_options = {"python": {"stripnl": True}}

html_theme = "furo"
html_title = f"genfun {version}"
html_show_copyright = False
html_static_path = ["_static", "generated/bokeh"]
# Sphinx looks for it before anything is made.
(ROOT / "docs" / "generated" / "bokeh").mkdir(parents=True, exist_ok=True)
html_css_files = ["pages.css"]


def _gallery(folder: Path) -> str:
    """Draw every example into the folder; a page of small pictures to choose from, then pictures, texts and sources."""
    head = [
        "# Gallery",
        "Each picture is drawn by the lines below it, when these pages are built. `draw()` returns the figure; with",
        "`genfun.plotting.save(figure, path)` its numbers are written beside it.",
        "\n:::{container} thumbs",
    ]
    page: list[str] = []
    for source in sorted((ROOT / "docs" / "gallery").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"gallery_{source.stem}", source)
        assert spec is not None
        assert spec.loader is not None
        example = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(example)
        title, _, text = (example.__doc__ or "").strip().partition("\n")
        example.draw().savefig(folder / f"{source.stem}.png", dpi=110)
        code = source.read_text(encoding="utf-8").split("import annotations\n\n", 1)[1]
        title = title.rstrip(".")
        head.append(f"[![]({source.stem}.png) {title}](#{source.stem.replace('_', '-')})\n")
        page += [
            f"\n({source.stem.replace('_', '-')})=\n## {title}",
            text.strip(),
            f"\n![{title}]({source.stem}.png)\n",
        ]
        page += [f"{{download}}`{source.name} <../gallery/{source.name}>`\n", f"```python\n{code}```"]
    return "\n".join([*head, ":::", *page]) + "\n"


def _derivation() -> str:
    """What sympy derives from the update matrix of SGD, with numbered equations."""
    from genfun import SGD
    from genfun.symbolic import show

    lines = show(SGD, latex=True).splitlines()
    page = [
        "# The derivation, by sympy",
        "Every formula here is printed by `genfun.symbolic.show(gf.SGD, latex=True)` (`genfun derive`): it starts",
        "from the update matrix of the method, and nothing is typed by hand.",
    ]
    number = 0
    for line in lines:
        if line.startswith(r"\paragraph{"):
            title = line.removeprefix(r"\paragraph{").removesuffix("}").replace(r"\_", "_")
            page.append("\n## " + re.sub(r"\b[a-z]+(?=_|2?\b)", lambda name: GREEK.get(name[0], name[0]), title) + "\n")
        elif line.startswith(r"\begin{equation}"):
            number += 1
            page.append("$$")
        elif line == r"\end{equation}":
            page.append(f"$$ (eq-derived-{number})\n")
        elif line and not line.startswith("%"):
            # The converter to MathML knows no \substack: both ranges of a double sum stand in one line.
            page.append(re.sub(r"\\substack\{([^{}]+?)\\\\([^{}]+?)\}", r"\1,\\ \2", line))
    return "\n".join(page) + "\n"


def _commands() -> str:
    """The introduction, and the help of every command under the job it does."""
    import click

    from genfun.cli import main

    page = [(ROOT / "docs" / "_commands.md").read_text(encoding="utf-8")]
    for heading, names in main.jobs.items():
        page.append(f"\n## {heading}")
        for name in names:
            context = click.Context(main.commands[name], info_name=f"genfun {name}", terminal_width=88)
            page.append(f"\n### {name}\n```text\n{main.commands[name].get_help(context)}\n```")
    return "\n".join(page) + "\n"


def _generate(app: Any) -> None:
    import moving

    folder = ROOT / "docs" / "generated"
    folder.mkdir(exist_ok=True)
    (folder / "gallery.md").write_text(_gallery(folder), encoding="utf-8")
    moving.scripts(folder / "bokeh")
    (folder / "moving.md").write_text(moving.page("../_static"), encoding="utf-8")
    (folder / "commands.md").write_text(_commands(), encoding="utf-8")
    (folder / "derivation.md").write_text(_derivation(), encoding="utf-8")


def _bars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape the bars and subscripts of prose, which would be substitutions and targets in reStructuredText."""
    math = False
    for i, line in enumerate(lines):
        math = line.lstrip().startswith(".. math::") or (math and line.startswith((" " * 4, "\t")))
        if not math and not line.lstrip().startswith(">>>"):
            lines[i] = line.replace("|", r"\|")
            if ":math:" not in line:
                lines[i] = re.sub(r"(?<=\w)_(?=[\s,.;:)+-]|$)", r"\_", lines[i])


def setup(app: Any) -> None:
    """Make the pages that code writes, before Sphinx looks for pages."""
    logging.getLogger("genfun").setLevel(logging.WARNING)
    app.connect("autodoc-process-docstring", _bars, priority=1000)
    app.connect("builder-inited", _generate)
