"""Formulas as MathML, written into the pages when they are built: no script, and nothing to fetch when they are read.

A formula that cannot be converted is a warning, which stops the build.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

_CONVERTER = LatexToMathML(annotation=True, fancy_error=False)


def mathml(tex: str, display: bool) -> str:
    r"""The formula as a `math` element; lines that end in two backslashes are aligned at their ampersands.

    Examples
    --------
    >>> mathml(r"\alpha < 1", display=False).startswith("<math><semantics><mrow><mi>α</mi><mo>&lt;</mo>")
    True
    >>> "<mtable" in mathml(r"a &= 1 \\ b &= 2", display=True)
    True
    >>> mathml(r"\unheard", display=True)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    math_core.LatexError: unknown command
    """
    tex = " ".join(tex.split())  # a backslash before a line break is one before a space
    if r"\\" in tex and not tex.startswith(r"\begin{"):
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    return _CONVERTER.convert_with_local_state(tex, displaystyle=display)


def _convert(node: nodes.Element, display: bool) -> str:
    tex = node.astext()
    try:
        return mathml(tex, display)
    except LatexError as error:
        logging.getLogger(__name__).warning("no MathML for %r: %s", tex, error, location=node, type="mathml")
        return f"<code>{nodes.unescape(tex)}</code>"


def _inline(self: Any, node: nodes.Element) -> None:
    self.body.append(_convert(node, display=False))
    raise nodes.SkipNode


def _block(self: Any, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(f'<div class="formula">{_convert(node, display=True)}</div>')
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Add the renderer, under the name that `html_math_renderer` chooses."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
