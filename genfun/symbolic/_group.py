"""Parentheses that sympy leaves where they are. Imports sympy: import this module inside functions only."""

from __future__ import annotations

from typing import Any

from sympy import Expr
from sympy.printing.pretty.stringpict import prettyForm


class Group(Expr):
    """A commutative `sympy.UnevaluatedExpr` that every printer shows with its parentheses; `.doit()` removes it."""

    is_commutative = True

    def doit(self, **hints: Any) -> Any:
        """The content."""
        return self.args[0].doit(**hints)

    def _sympystr(self, printer: Any) -> str:
        return f"({printer._print(self.args[0])})"

    _pythoncode = _numpycode = _sympystr

    def _latex(self, printer: Any) -> str:
        return rf"\left({printer._print(self.args[0])}\right)"

    def _pretty(self, printer: Any) -> prettyForm:
        return prettyForm(*printer._print(self.args[0]).parens())


def group(p: Any) -> Any:
    """Put a sum in parentheses; anything else needs none."""
    return Group(p) if p.is_Add else p


def ungroup(p: Any) -> Any:
    """Take the outermost parentheses off."""
    return p.args[0] if isinstance(p, Group) else p
