"""Which picture shows which result: each picture registers here for the type of result that it draws."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@singledispatch
def draw(result: Any, ax: Axes | None = None, **options: Any) -> Axes:
    """The picture of a result, which `result.plot(ax, **options)` draws.

    A picture of one's own is registered as `draw.register(Result, picture)`, where `picture(result, ax=None)` returns
    the axes; `result.plot()` then draws it.

    **Assumptions.** Those of the picture.

    Parameters
    ----------
    result : any
        What a function of genfun returned.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.
    **options
        What the picture takes beside it: `best` for `loss_map`; `against` and `at` for `escape_chart`.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Raises
    ------
    TypeError
        If there is no picture for a result of this type, or the picture takes no such option.
    ValueError
        If the picture cannot show this result, such as a curve of a single step.

    Examples
    --------
    >>> import genfun as gf
    >>> from matplotlib.figure import Figure
    >>> gf.plotting.draw(gf.phase(gf.PowerLaw(1.5, 0.5), gf.SGD(0.1, batch_size=1)), Figure().subplots()).get_xscale()
    'linear'
    """
    drawn = sorted(kind.__name__ for kind in draw.registry if kind is not object)
    raise TypeError(
        f"{type(result).__name__} has no picture; there is one for {', '.join(drawn)}. "
        "Register your own by genfun.plotting.draw.register"
    )
