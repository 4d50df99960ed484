"""Memory that working arrays have given back is kept for the next ones, not mapped anew page by page.

glibc gives arrays of more than 128 KiB pages of their own, which the system fills with zeros at first touch: that may
take four fifths of the time of arithmetic on a thousand modes of forty settings. Once it has seen a larger array come
and go it takes arrays up to that size from its heap. Other allocators are not moved by this, and none is harmed.
"""

from __future__ import annotations

import numpy as np

LARGEST = 1 << 21
"""Numbers of the largest arrays meant, 16 MiB; twice as much may stay with the process when nothing is in use."""


def keep_freed_memory() -> None:
    """Let an array come and go that is never touched, which takes some microseconds."""
    np.empty(LARGEST)
