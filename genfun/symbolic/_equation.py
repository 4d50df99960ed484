"""What a page of formulas is made of."""

from __future__ import annotations

from typing import Any

Section = tuple[str, list[Any]]
"""Title and equations."""


def equal(left: Any, right: Any) -> Any:
    """Equation that sympy leaves as it stands; a string is a symbol."""
    import sympy

    return sympy.Eq(sympy.Symbol(left) if isinstance(left, str) else left, right, evaluate=False)
