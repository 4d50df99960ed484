"""The batch size of least cost, by branch and bound over whole numbers."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from itertools import pairwise

FAR = 4.0
"""Doubling of the batch size stops where the cost is this many times its least."""
LARGEST = 2**20
"""Largest batch size that is tried on streaming data."""


class BatchSearch:
    """Steps and cost K(b) w(b) at batch sizes, each computed once; w rises with b.

    Parameters
    ----------
    steps : callable
        K of a batch size; inf where the target is never reached.
    weight : callable
        w, e.g. the batch size itself.
    """

    def __init__(self, steps: Callable[[int], float], weight: Callable[[int], float]) -> None:
        self._steps, self.weight = steps, weight
        self.known: dict[int, float] = {}

    def steps(self, b: int) -> float:
        """K(b)."""
        if b not in self.known:
            self.known[b] = self._steps(b)
        return self.known[b]

    def cost(self, b: int) -> float:
        """K(b) w(b)."""
        return self.steps(b) * self.weight(b)

    def best(self) -> int:
        """The least cost so far; the smaller batch size of two."""
        return min(sorted(self.known), key=self.cost)

    def double(self, last: int) -> None:
        """Try 1, 2, 4, ... until the cost is far above its least, and at most `last`.

        Parameters
        ----------
        last : int
            Largest batch size.
        """
        b, least = 1, math.inf
        while True:
            cost = self.cost(b)
            least = min(least, cost)
            if b == last or (math.isfinite(cost) and cost > FAR * least and b >= 16):
                return
            b = min(2 * b, last)

    def prove(self, most: int) -> bool:
        """Find the least cost between the batch sizes known, for steps that never rise with b.

        Between b1 and b2 no cost is below K(b2) w(b1 + 1).

        Parameters
        ----------
        most : int
            Batch sizes to try at most.

        Returns
        -------
        bool
            Whether it is proven the least.
        """

        def entry(left: int, right: int) -> tuple[float, int, int]:
            return self.steps(right) * self.weight(left + 1), left, right

        sizes = sorted(self.known)
        heap = [entry(*pair) for pair in pairwise(sizes) if pair[1] - pair[0] > 1]
        heapq.heapify(heap)
        least, most = self.cost(self.best()), most + len(self.known)
        while heap:
            bound, left, right = heapq.heappop(heap)
            if bound >= least:
                return True
            if len(self.known) >= most:
                return False
            middle = min(max(round(math.sqrt(left * right)), left + 1), right - 1)
            least = min(least, self.cost(middle))
            for pair in ((left, middle), (middle, right)):
                if pair[1] - pair[0] > 1:
                    heapq.heappush(heap, entry(*pair))
        return True

    def refine(self, close: float) -> None:
        """Halve the gaps, in log b, beside the best until they are narrower than `close`.

        Parameters
        ----------
        close : float
            Ratio of neighbouring batch sizes.
        """
        while True:
            sizes, best = sorted(self.known), self.best()
            i = sizes.index(best)
            pairs = [(sizes[max(i - 1, 0)], best), (best, sizes[min(i + 1, len(sizes) - 1)])]
            wide = [(a, b) for a, b in pairs if b - a > 1 and b / a > close]
            if not wide:
                return
            for a, b in wide:
                self.cost(min(max(round(math.sqrt(a * b)), a + 1), b - 1))

    def end(self, limit: float, side: int, close: float) -> int:
        """Where the cost first exceeds the limit on one side of the best: the last batch size that does not.

        Parameters
        ----------
        limit : float
            Of the cost.
        side : int
            -1 below, 1 above.
        close : float
            Ratio of batch sizes down to which the end is located.
        """
        best = self.best()
        beyond = sorted((b for b in self.known if (b - best) * side > 0), key=lambda b: b * side)
        inside = best
        for outside in beyond:
            if self.cost(outside) > limit:
                while abs(outside - inside) > 1 and max(outside, inside) / min(outside, inside) > close:
                    middle = (inside + outside) // 2
                    inside, outside = (middle, outside) if self.cost(middle) <= limit else (inside, middle)
                return inside
            inside = outside
        return inside
