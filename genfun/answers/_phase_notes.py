"""What an answer about the phase says besides."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from genfun._display import seen

if TYPE_CHECKING:
    from genfun.answers.phase import Phase


def spectrum_notes(
    is_power_law: bool,
    fit_notes: tuple[str, ...],
    infinite: bool,
    nu: float,
    name: str,
    transition: float,
    end: float,
) -> tuple[str, ...]:
    """What a finite or a fitted spectrum changes.

    Parameters
    ----------
    is_power_law : bool
    fit_notes : tuple of str
    infinite : bool
        Whether the spectrum has no end.
    nu : float
    name : str
        Of the phase.
    transition, end : float
    """
    notes = [] if is_power_law else list(fit_notes)
    if not infinite:
        if nu <= 1.0 and "divergence" not in name:
            notes.append(f"stable only because the spectrum ends: nu = {nu:.3g} <= 1 would diverge without truncation")
        if math.isfinite(transition) and transition > end and seen(end):
            at = f" at {transition:.3g}" if seen(transition) else ""
            notes.append(f"the spectrum ends at step {end:.3g}, before the transition{at}: it will not be seen")
    return tuple(notes)


def term_notes(f: Phase) -> tuple[str, ...]:
    """What its terms do to one another.

    Parameters
    ----------
    f : Phase
    """
    notes = []
    if "divergence" in f.name:
        return ()
    if f.on_border:
        notes.append(
            "on the border of the two phases: signal and noise fall alike, and the constant is that of their sum"
        )
    elif f.later == "signal" and f.noise_constant > f.signal_constant:
        until = "before the signal takes over" if seen(f.transition_step) else "at every step of a run"
        notes.append(f"{until} the noise term leads, as t^-{f.noise_exponent:.4g}")
    if f.floor > 0.0:
        held = f"label noise holds the loss {f.floor:.3g} above its lowest"
        if f.floor_step > f.end_step:
            notes.append(f"{held}, once the spectrum has ended")
        elif seen(f.floor_step):
            text = f"{held}, where the decay ends at step {f.floor_step:.3g}"
            slow = f"; it is approached as t^-{f.noise_exponent - 1.0:.3g}, from below"
            notes.append(text + (slow if f.floor_constant > 0.0 else ""))
        else:
            notes.append(f"{held}, but the decay lasts longer than any run")
    return tuple(notes)
