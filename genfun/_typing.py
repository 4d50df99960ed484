"""Array types with shapes, as `Float[Array, "n"]`.

Shapes are read by people and by pyright; they are checked at run time only by `pytest --shapes`, which instruments
genfun before it is imported. A plain `import genfun` never imports jaxtyping.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

Array = np.ndarray

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Complex, Float, Inexact, Int, Num, Shaped
else:

    class _AnyShape:
        def __class_getitem__(cls, item: object) -> object:
            return Any

    Bool = Complex = Float = Inexact = Int = Num = Shaped = _AnyShape

__all__ = ["Array", "Bool", "Complex", "Float", "Inexact", "Int", "Num", "Shaped"]
