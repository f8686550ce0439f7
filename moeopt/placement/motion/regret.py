"""How far a policy stays behind one who knew all windows beforehand."""

from __future__ import annotations

from dataclasses import dataclass

from moeopt.placement.motion.simulate import Run


@dataclass(frozen=True)
class Regret:
    """What foresight would have saved.

    Attributes
    ----------
    seconds
        The policy's total less the clairvoyant's.
    relative
        The same over the clairvoyant's total.
    share_of_way
        From never moving (0) to the clairvoyant (1), how far the policy comes; ``None`` where
        there is no way to go.
    """

    seconds: float
    relative: float
    share_of_way: float | None


def regret(run: Run, clairvoyant: Run, never: Run) -> Regret:
    """Compare a policy's run with the clairvoyant's and with that of the plan it started with.

    Parameters
    ----------
    run, clairvoyant, never
        On the same windows, in the same world.
    """
    seconds = run.total_s - clairvoyant.total_s
    way = never.total_s - clairvoyant.total_s
    share = (never.total_s - run.total_s) / way if way > 0 else None
    return Regret(seconds, seconds / clairvoyant.total_s, share)
