"""Array types with shapes, as `Float[Array, "n"]`, and the type of progress callbacks.

Shapes are read by people and by pyright; they are checked at run time only by `pytest --shapes`, which instruments
genfun before it is imported. A plain `import genfun` never imports jaxtyping.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

Array = np.ndarray
Progress = Callable[[float, str], None]
"""Called with the fraction done, in [0, 1], and the name of the stage."""

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Complex, Float, Inexact, Int, Num, Shaped
else:

    class _AnyShape:
        def __class_getitem__(cls, item: object) -> object:
            return Any

    Bool = Complex = Float = Inexact = Int = Num = Shaped = _AnyShape

__all__ = ["Array", "Bool", "Complex", "Float", "Inexact", "Int", "Num", "Progress", "Shaped"]
