"""A measured noise on few of its pairs: what curves, maps and searches are summed over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

from genfun.methods.base import Method
from genfun.methods.sgd import SGD
from genfun.sample_space.few_pairs import FewPairs, departure
from genfun.sample_space.pairs import PairResponses
from genfun.sample_space.projection import PairMeasure
from genfun.sample_space.skeleton import CLOSE_MOMENTUM, WIDE_MOMENTUM, close_skeleton, skeleton

KEPT = 512
"""Answers about single settings that are kept."""
FIRST, FIRST_ASKED = 2, 4
"""Of so few methods, asked for so often, curves are summed over all pairs as long as no few were looked for."""


class FewerPairs:
    """The skeletons of the pairs of a noise, each found on first use, and the same noise on them.

    Attributes
    ----------
    pairs : PairMeasure
        All pairs.
    fewer : int
    sampling, coarser :
        As of `genfun.sample_space.measured.MeasuredNoise`.
    """

    pairs: PairMeasure
    fewer: int
    sampling: Any
    coarser: Any

    @cached_property
    def skeleton(self) -> PairMeasure:
        """Few pairs that stand for all in maps of heavy-ball SGD with momentum up to 0.9; found on first use."""
        return skeleton(self._close)

    @cached_property
    def wide_skeleton(self) -> PairMeasure:
        """The same for momenta nearer to 1, of more pairs."""
        return skeleton(self.pairs, wide=True)

    @cached_property
    def _close(self) -> PairMeasure:
        return close_skeleton(self.pairs)

    def on_all_pairs(self) -> Any:
        """The same whose curves are summed over all pairs: few curves are not worth the choice of pairs."""
        whole = replace(self)  # pyright: ignore
        vars(whole)["_close"] = self.pairs
        return whole

    def pairs_for(self, method: Method) -> FewPairs:
        """The pairs that single curves of a method are summed over: few, where those serve.

        The first questions are answered with all pairs: to choose few takes as long as some curves.

        Parameters
        ----------
        method : Method
        """
        beta, gamma = PairResponses(method, 1.0).momentum, self.sampling(method)
        if beta is None or abs(beta) > CLOSE_MOMENTUM or gamma == 0.0:
            return FewPairs(self.pairs)
        at = SGD(method.learning_rate, beta)
        self._asked.append((at, gamma))
        few_yet = len(self._asked) <= FIRST_ASKED and len(set(self._asked)) <= FIRST
        if (few_yet and not self.looked_for_few) or self._close is self.pairs:
            return FewPairs(self.pairs)
        few = self.once(("few", at, gamma), lambda: departure(self.pairs, self._close, at, gamma))
        return few if few.serves else FewPairs(self.pairs)

    @property
    def looked_for_few(self) -> bool:
        """Whether few pairs that stand for all were looked for."""
        return "_close" in vars(self)

    def once(self, key: tuple[Any, ...], find: Callable[[], Any]) -> Any:
        """What is found for a setting, once as long as no more than `KEPT` others were: most are asked for repeatedly.

        Parameters
        ----------
        key : tuple
            What is asked for; without a hash it is found anew.
        find : callable
        """
        kept = self._found_before
        try:
            known = key in kept
        except TypeError:  # a method of a user's own that has no hash
            return find()
        if not known:
            if len(kept) >= KEPT:
                kept.clear()
            kept[key] = find()
        return kept[key]

    @cached_property
    def _asked(self) -> deque[tuple[SGD, float]]:
        """The settings that curves were asked for lately."""
        return deque(maxlen=FIRST_ASKED + 1)

    @cached_property
    def _found_before(self) -> dict[tuple[Any, ...], Any]:
        return {}

    def quick(self, momentum: float) -> Any:
        """What searches run on, before their answer is computed with all of it: fewer vectors, and the skeleton alone.

        Parameters
        ----------
        momentum : float
            The largest of either sign that is searched; beyond those of the wide skeleton, with all pairs.

        Examples
        --------
        >>> import genfun as gf
        >>> noise = gf.data.mnist(50).measured_noise
        >>> few = noise.quick(0.9)
        >>> few.pairs.first.size < noise.pairs.first.size
        True
        """
        noise: Any = self.for_maps(momentum)
        return noise._for_curves if 0 < self.fewer < self.pairs.size else noise

    def for_maps(self, momentum: float) -> Any:
        """The same on the pairs of the skeletons alone, so that a few settings cost no more than they do in a map.

        Parameters
        ----------
        momentum : float
            The largest of either sign; beyond those of the wide skeleton, with all pairs.
        """
        return self if momentum > WIDE_MOMENTUM else self._thinned

    @cached_property
    def _thinned(self) -> Any:
        thin: Any = replace(self, pairs=self.wide_skeleton)  # pyright: ignore
        made = [(thin, self.skeleton)]
        if 0 < self.fewer < self.pairs.size:
            made.append((thin.coarser, self.skeleton.on_first(self.fewer)))
        for noise, few in made:  # nothing is gained by thinning once more
            vars(noise).update(skeleton=few, wide_skeleton=noise.pairs, _thinned=noise, _close=noise.pairs)
        return thin
