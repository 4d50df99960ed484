"""The loss mode by mode: noise by all fourth moments of the features, with second moments cut to their diagonal."""

from __future__ import annotations
