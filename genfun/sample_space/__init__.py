"""The loss in sample space: data's own noise, with no assumption on its fourth moments.

One second moment of the residual a sample replaces one loss: what was a scalar equation for the generating function of
the loss becomes a linear system with as many unknowns as samples, of which only products are ever formed.
"""

from __future__ import annotations
