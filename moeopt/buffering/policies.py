"""The policies of caches, by name.

A policy gives every item a worth. With ``serve="load"``, when room is wanted, the resident that is
worth least leaves. With ``serve="bypass"``, what was missing since the last open group asks to come
in before the next one, the most worthy first and at most ``loads_per_group``: where there is room,
or in place of residents that are each worth less; what was not let in is forgotten. Worths are then
those after the last group that has run, and an item that asks has its worth as if it were loaded
now. Of equal worths the least recently used is worth less, and of items never used the one with the
larger index. Items that are pinned never leave. A position is the number of references before it.

Only policies whose rule says so look at what the present group is still to run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from moeopt.buffering import _kernels
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.stream import Schedule, Stream
from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.errors import InstanceError


@dataclass(frozen=True)
class Matching:
    """Which finished sequence each group's own sequence is most like so far.

    Attributes
    ----------
    matched
        Row of `shares` for each group of the problem, -1 for none, ``(groups,)``.
    shares
        Share of each expert in its layer's references of a sequence, ``(sequences + 1, layers *
        experts)``; zeros in the last row.
    """

    matched: IntArray
    shares: FloatArray


@dataclass(frozen=True)
class Hints:
    """What a policy may know beside the references of its cache that have run.

    Attributes
    ----------
    history
        Counts of each item in the past, ``(items,)``.
    sequence_starts
        First step of each sequence, ``(sequences,)``.
    problem
        All of it: what other layers chose in groups that have run.
    matching
        What `activation_matching` makes of the problem; made when needed if left out.
    """

    history: FloatArray | None = None
    sequence_starts: IntArray | None = None
    problem: BufferingProblem | None = None
    matching: Matching | None = None


@dataclass(frozen=True)
class Replay:
    """What came of one cache under a policy.

    Attributes
    ----------
    hits, misses
        References that found their item in the cache, and the others.
    loads
        Items that were loaded.
    miss_cost
        Prices of loads and of bypassed references.
    schedule
        What the cache did, if it was recorded.
    """

    hits: int
    misses: int
    loads: int
    miss_cost: float
    schedule: Schedule | None = None


Run = Callable[[Stream, int, Hints, bool], Replay]


@dataclass(frozen=True)
class Policy:
    """A rule for what leaves a cache.

    Attributes
    ----------
    name
        By which it is asked for.
    summary
        One line for lists of methods.
    rule
        What an item is worth.
    source
        Where the rule is from, and what was read into it.
    code
        Of the rule in the kernels; ``None`` for one that has its own `run`.
    run
        Replays a stream at a capacity with hints; the last argument asks for the schedule. If the
        stream's `any_order` says so, each group first runs what it finds resident.
    needs_history
        Whether it is nothing without counts of the past.
    offline
        Whether it knows the references to come.
    """

    name: str
    summary: str
    rule: str
    source: str
    code: int | None = None
    run: Run | None = None
    needs_history: bool = False
    offline: bool = False


def _learned(stream: Stream, capacity: int, hints: Hints, record: bool) -> Replay:
    # It needs this module's types.
    from moeopt.buffering.learned import replay_learned

    return replay_learned(stream, capacity, hints, record)


_PAPER = "Huang et al., arXiv 2303.06182, section on expert buffering"
_ZHU = "Zhu et al., arXiv 2306.02003"

_RULES = (
    Policy(
        "inactive_lifo",
        "the paper's: inactive experts first, then the most recently used (arXiv 2303.06182)",
        "Inactive items (not asked for by the present group) are worth less than those of the group"
        " that have run, and these less than those it is still to run. Inactive items are worth"
        " the less, the later they were loaded; the others, the later they were last used.",
        f"{_PAPER}: first what is not active in this batch, then last in, first out, as experts run"
        " one after the other by rising number. Its example evicts the one that ran last, so 'last"
        " in' is read as most recently used; which of the inactive goes first is not said.",
        _kernels.INACTIVE_LIFO,
    ),
    Policy(
        "inactive_lifo_inserted",
        "the paper's in its other reading: the last loaded goes first",
        "As inactive_lifo, but within all three classes an item is worth the less, the later it was"
        " loaded.",
        f"{_PAPER}: the second reading, 'last in' by the time of the load.",
        _kernels.INACTIVE_LIFO_INSERTED,
    ),
    Policy(
        "lru",
        "the least recently used goes",
        "The position of the item's last reference.",
        "Least recently used; mixtral-offloading (arXiv 2312.17238), caches in vLLM and llama.cpp.",
        _kernels.LRU,
    ),
    Policy(
        "mru",
        "the most recently used goes: Belady's on a repeated scan",
        "Minus the position of the item's last reference.",
        "Most recently used: what Belady's rule does on a repeated scan.",
        _kernels.MRU,
    ),
    Policy(
        "fifo",
        "first in, first out",
        "The position at which the item was loaded.",
        f"First in, first out; the baseline of {_PAPER}, fig. 12.",
        _kernels.FIFO,
    ),
    Policy(
        "lifo",
        "last in, first out",
        "Minus the position at which the item was loaded.",
        "Last in, first out, whatever is active: a set that stays once the cache is full.",
        _kernels.LIFO,
    ),
    Policy(
        "lfu",
        "the least frequently used goes",
        "References to the item so far, those served elsewhere and those of the history included;"
        " they are not forgotten when it leaves.",
        "Least frequently used. With a history, and where loads are not on demand, what it counts"
        " asks to come in before the first group.",
        _kernels.LFU,
    ),
    Policy(
        "group_lfu",
        "the least frequently used goes, but none that the pass is still to run",
        "As lfu, but the group's own items that it is still to run are worth more than all others.",
        "LFU with what any system knows once a gate has spoken, as the rules of inactive_lifo and"
        " least_stale have it.",
        _kernels.GROUP_LFU,
    ),
    Policy(
        "lfru",
        "frequency over recency (vLLM pull request 37190)",
        "References to the item since it last left, divided by the present position less that of"
        " its last reference.",
        "Frequency-weighted LRU of vLLM pull request 37190, in the form of its author's tinyserve:"
        " frequency / (clock - last access + 1), the frequency counted from the load on. Where"
        " references are served elsewhere they count as well.",
        _kernels.LFRU,
    ),
    Policy(
        "lec",
        "least expected cost: probability times price (arXiv 2306.02003)",
        "Prices of all references to the item so far, as if each had missed; a history counts as"
        " that many references, at the item's price of a load or, where loads are not on demand,"
        " at the mean price of a miss.",
        f"Least expected cost, {_ZHU}: probability times cost, both estimated from counts. Where"
        " loads are not on demand, what the history counts asks to come in before the first group.",
        _kernels.LEC,
    ),
    Policy(
        "gdsf",
        "greedy dual size with frequency (arXiv 2306.02003)",
        "Set at each reference to L + W / S: W the prices of the references since the item last"
        " left, as if each had missed, S its size, and L the worth of what left last, 0 at first.",
        f"Greedy dual size with frequency (Cherkasova 1998), which {_ZHU} take up: frequency times"
        " cost over size, with a clock L that ages what is not used.",
        _kernels.GDSF,
    ),
    Policy(
        "least_stale",
        "experts of earlier passes go before the present one's (SpecMD)",
        "Stale items (not asked for in the present step) of layers that the step has passed, the"
        " lower layer first; stale items of this and later layers, the later first; items of the"
        " step in passed layers, the lower first; items of the present group that have run; those"
        " that it is still to run. In this order they leave.",
        "SpecMD, arXiv 2602.03921, read at second hand: stale experts leave before those of the"
        " present pass, by layer as the pass goes. What is still to run is kept longest by us. In"
        " a cache of one layer: what the step does not need, least recently used first.",
        _kernels.LEAST_STALE,
    ),
    Policy(
        "quota_lru",
        "LRU in a pool with equal quotas of layers",
        "Minus the room that the items of the item's layer take, with what is to come in.",
        "A layer's quota is an equal part of a pool: what leaves is of the layer that is furthest"
        " over it, and there the least recently used. Asked for by users of pooled caches, in which"
        " early layers push out late ones under LRU (vLLM pull request 37190).",
        _kernels.QUOTA_LRU,
    ),
    Policy(
        "static_top_k",
        "the most used of a history stay",
        "The item's count in the history if it is one of those kept, else nothing: less than any"
        " count, and with bypassing it never comes in. Kept are the items with the largest counts,"
        " the lower index first, each if it still fits beside those before it; with bypassing they"
        " ask to come in before the first group.",
        "KTransformers' frequency placement, llama.cpp's static lists: the most used of a profile."
        " If loads are on demand, one place is left to whatever else is asked for.",
        _kernels.STATIC,
        needs_history=True,
    ),
    Policy(
        "activation_matching",
        "the finished sequence most alike tells what comes (MoE-Infinity)",
        "(p + 1e-8) * (1 - d / (L + 1)): L layers, d how many layers ahead of the present one the"
        " item's is, counted on into the next step, p the item's share of its layer's references in"
        " the finished sequence that is most like the present one, 0 if there is none. Alike: the"
        " sum over layers of the cosine between counts so far, the present group included, and"
        " counts of the finished sequence, the earliest place of equals. Up to 64 sequences are"
        " kept; a further one takes the place that was chosen least often since it was filled,"
        " where filling counts as once, the earliest of equals.",
        "MoE-Infinity, arXiv 2401.14361, its ExpertTracer and ExpertPredictor. Its code compares"
        " the layers that are still to come with counts of earlier tokens, and gives what has"
        " passed no worth; here all layers are compared, as the paper has it, and a layer that has"
        " passed comes again in the next step. In a cache of one layer d is 0.",
        _kernels.MATCHING,
    ),
    Policy(
        "belady",
        "hindsight: what is used latest goes; optimal for equal sizes and prices",
        "Minus the position of the next reference to the item, as stated; an item that is not used"
        " again is worth less than all others, the one with the larger index least.",
        "Belady 1966, Mattson et al. 1970. Fewest misses if loads are on demand, in a fixed order"
        " and of items of one size; otherwise one more heuristic that knows the future.",
        _kernels.FURTHEST,
        offline=True,
    ),
    Policy(
        "learned",
        "our own: learns from the trace, as it goes, what will be used soon",
        "Its expected use, discounted group by group: learned, as the trace goes, from shares of"
        " past groups and from how often it followed those that are active now. The group's own"
        " items that are still to run never leave before others.",
        "Our own: moeopt.buffering.learned.",
        run=_learned,
    ),
)

#: Every policy that `replay` knows, by name; a policy with its own `run` can be put in.
POLICIES: dict[str, Policy] = {policy.name: policy for policy in _RULES}

#: Finished sequences that `activation_matching` keeps.
KEPT_SEQUENCES = 64


def policy_named(name: str) -> Policy:
    """Return the policy of this name.

    Raises
    ------
    InstanceError
        If there is none.
    """
    if name not in POLICIES:
        known = ", ".join(sorted(POLICIES))
        raise InstanceError("policy", name, f"must be one of {known}", "correct the name")
    return POLICIES[name]


def known_at_start(
    policy: Policy, stream: Stream, capacity: int, history: FloatArray | None
) -> tuple[FloatArray, BoolArray]:
    """Return each item's worth at the start, and which ask to come in before the first group.

    Both ``(items,)``; the second is of use where loads are not on demand.

    Parameters
    ----------
    policy, stream, capacity
        Rule, references and room.
    history
        Counts of each item in the past, ``(items,)``.
    """
    counts = np.zeros(stream.num_items)
    frequent = policy.code in (_kernels.LFU, _kernels.GROUP_LFU)
    if history is None or not (frequent or policy.code in (_kernels.LEC, _kernels.STATIC)):
        return counts, np.zeros(stream.num_items, dtype=np.bool_)
    counts += history
    if frequent:
        return counts, counts > 0
    if policy.code == _kernels.LEC:
        unit = stream.load_prices
        if stream.serve == "bypass":
            unit = np.full(stream.num_items, stream.miss_prices.mean() if stream.items.size else 0)
        return counts * unit, counts > 0
    kept = _kept(stream, capacity, counts)
    return np.where(kept, counts, -np.inf), kept


def _kept(stream: Stream, capacity: int, counts: FloatArray) -> BoolArray:
    """Return the items with the largest counts that fit together beside what is pinned."""
    room = capacity - float(stream.sizes[stream.pinned].sum())
    kept = np.zeros(stream.num_items, dtype=np.bool_)
    for i in np.argsort(-counts, kind="stable"):
        if not stream.pinned[i] and stream.sizes[i] <= room:
            kept[i] = True
            room -= float(stream.sizes[i])
    return kept
