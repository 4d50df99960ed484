"""Names of sympy types for annotations, so that modules that name them need not import sympy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sympy import Expr, Symbol
    from sympy.matrices.immutable import ImmutableDenseMatrix as Matrix
else:
    Expr = Symbol = Matrix = Any

__all__ = ["Expr", "Matrix", "Symbol"]
