"""Masked gating without a column for each token: what residents retain, as a sum over prefixes.

A token's *prefix* of ``r`` is the set of its ``r`` best experts, whose values are ``v_1 >= v_2 >=
...``. With ``v`` of one more than all experts 0, the residents `C` retain ``sum_r (v_r - v_{r+1})
min(top_k, |C and prefix r|)`` of it. Prefixes of at most `top_k` experts add up over residents; of
the larger ones those that are the same set are one term, whatever their tokens, and those without
a step in value are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Prefixes:
    """What residents retain of some tokens.

    With `C` the residents it is the sum of `alone` over `C`, and of ``worth * min(top_k, |C and
    the prefix|)`` over prefixes. A prefix is its parent, which is one of a token of its own, and
    the experts of its entries.

    Attributes
    ----------
    alone
        What each expert retains by itself, ``(experts,)``.
    worth
        Of each prefix of more than `top_k` experts, ``(prefixes,)``.
    parent
        The prefix that a prefix extends, -1 for none, ``(prefixes,)``.
    prefix, expert
        The experts by which each prefix extends its parent, ``(entries,)``.
    """

    alone: FloatArray
    worth: FloatArray
    parent: IntArray
    prefix: IntArray
    expert: IntArray

    def count(self, there: BoolArray) -> IntArray:
        """Return how many residents are in each prefix, ``(prefixes,)``.

        Parameters
        ----------
        there
            Which experts are resident, ``(experts,)``.
        """
        count = np.bincount(
            self.prefix, weights=there[self.expert], minlength=self.worth.size
        ).astype(np.int64)
        # Each round counts those of twice as many parents.
        up = self.parent
        while (up >= 0).any():
            count = count + np.where(up >= 0, count[up], 0)
            up = np.where(up >= 0, up[up], -1)
        return count


def prefixes_of(values: npt.NDArray[np.float64], top_k: int) -> Prefixes:
    """Return the prefixes of some tokens.

    Parameters
    ----------
    values
        Router values of a layer, ``(tokens, experts)``, none negative.
    top_k
        Experts that serve a token.
    """
    experts = values.shape[1]
    order = np.argsort(-values, axis=1, kind="stable")
    ranked = np.take_along_axis(values, order, axis=1)
    after = ranked[:, top_k] if top_k < experts else np.zeros(len(values))
    more = ranked[:, :top_k] - after[:, None]
    alone = np.bincount(order[:, :top_k].ravel(), weights=more.ravel(), minlength=experts)
    step = ranked - np.append(ranked[:, 1:], np.zeros((len(values), 1)), axis=1)
    token, rank = np.nonzero(step[:, top_k:] > 0)
    rank = rank + top_k
    number, chosen = _same_sets(order, token, rank)
    # What stands before in the list is the token's shorter prefix, if it is of the same token.
    extends = np.append(False, token[1:] == token[:-1])
    before = chosen[extends[chosen]]
    parent = np.full(chosen.size, -1)
    parent[extends[chosen]] = number[before - 1]
    begin = np.zeros(chosen.size, dtype=np.int64)
    begin[extends[chosen]] = rank[before - 1] + 1
    many = rank[chosen] + 1 - begin
    prefix = np.repeat(np.arange(chosen.size), many)
    place = np.arange(prefix.size) - np.repeat(np.cumsum(many) - many, many) + begin[prefix]
    worth = np.bincount(number, weights=step[token, rank], minlength=chosen.size)
    # Without a row there are no weights, and the sums are counts.
    return Prefixes(
        alone.astype(np.float64),
        worth.astype(np.float64),
        parent,
        prefix,
        order[token[chosen[prefix]], place],
    )


def joined(parts: Sequence[Prefixes]) -> Prefixes:
    """Return the prefixes of several committees as one list, their experts numbered on.

    Parameters
    ----------
    parts
        Of each committee; all of as many experts.
    """
    experts, many = parts[0].alone.size, np.array([part.worth.size for part in parts])
    first = (np.cumsum(many) - many).tolist()
    return Prefixes(
        np.concatenate([part.alone for part in parts]),
        np.concatenate([part.worth for part in parts]),
        np.concatenate(
            [np.where(p.parent < 0, -1, p.parent + n) for p, n in zip(parts, first, strict=True)]
        ),
        np.concatenate([part.prefix + n for part, n in zip(parts, first, strict=True)]),
        np.concatenate([part.expert + experts * i for i, part in enumerate(parts)]),
    )


def count_prefixes(values: npt.NDArray[np.float64], top_k: int) -> int:
    """Return the most prefixes that tokens of any layers can have, ``(tokens, layers, experts)``.

    Equal sets and equal values make them fewer.
    """
    return int(np.maximum(np.count_nonzero(values, axis=-1) - top_k, 0).sum())


def _same_sets(order: IntArray, token: IntArray, rank: IntArray) -> tuple[IntArray, IntArray]:
    """Return the number of each prefix's set, and of each set one prefix that is it."""
    alone = np.packbits(np.eye(order.shape[1], dtype=np.bool_), axis=1)
    bits = np.bitwise_or.accumulate(alone[order], axis=1)[token, rank]
    # As strings of one length, which sort many times faster than rows.
    sets = bits.view(f"S{bits.shape[1]}").ravel()
    _, chosen, number = np.unique(sets, return_index=True, return_inverse=True)
    return number, chosen
