"""Pipeline degrees worth trying: a short list that holds an optimal one.

A degree, the largest minibatch of design 1, matters only through the number of minibatches
``n = ceil(r / beta)`` of each replica. Working time, latency and fees do not fall any more as `n`
grows beyond some ``n*`` of the replica: times are convex in `n`, fees grow. Raise a degree as
far as no replica loses a minibatch and then has fewer than ``n*``. The replicas that do lose some
keep at least ``n*``, so nothing gets worse. What cannot be raised so is the degree just below
``r / k`` for some replica and ``1 <= k < n*``, or the largest degree there is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.serverless.designs import blocks_of
from moeopt.serverless.options import LayerData, layer_data
from moeopt.serverless.problem import ServerlessProblem

#: Most degrees that are listed.
MOST_DEGREES = 200_000


def candidate_degrees(problem: ServerlessProblem, layer: int) -> Sequence[int]:
    """Return pipeline degrees of a layer, ascending, one of which is as good as any.

    The union over layers is a list for a degree of the whole model.
    """
    return degrees_of(problem, layer_data(problem, layer))


def degrees_of(problem: ServerlessProblem, data: LayerData) -> Sequence[int]:
    """Return `candidate_degrees` of a layer that is at hand as arrays.

    More than `MOST_DEGREES` are not listed: all whole degrees, a range, stand for them.
    """
    replicas = np.arange(1, problem.max_replicas + 1)
    share = np.unique(data.tokens[:, :, None] / replicas)
    share = share[share > 0]
    if not share.size:
        return [1]
    # (replica, k) for every k below its n*.
    count = np.maximum(_most_blocks(data, share) - 1, 0)
    largest = largest_degree(data.tokens)
    if count.sum() > MOST_DEGREES:
        return range(1, largest + 1)
    replica = np.repeat(np.arange(share.size), count)
    k = np.arange(replica.size) - np.repeat(np.cumsum(count) - count, count) + 1
    below = _largest_with_more(share[replica], k)
    degrees = np.unique(np.append(below, largest))
    kept: list[int] = degrees[degrees >= 1].tolist()
    return kept


def largest_degree(tokens: FloatArray) -> int:
    """Return the degree at which no replica has more than one minibatch."""
    return max(1, int(np.ceil(tokens.max())))


def _largest_with_more(share: FloatArray, k: IntArray) -> IntArray:
    """Return the largest whole degrees at which replicas have more than `k` minibatches."""
    degree = np.floor(share / k).astype(np.int64) + 1
    for _ in range(3):
        degree = np.where((degree > 0) & (blocks_of(share, degree) <= k), degree - 1, degree)
    return degree


def _most_blocks(data: LayerData, share: FloatArray) -> IntArray:
    """Return for each replica a number of minibatches that is at least its ``n*``."""
    clock = data.clock
    whole = np.maximum(1.0, np.ceil(share))
    if clock.delay_s == 0:
        return whole.astype(np.int64)
    # Beyond this many, the way from a replica's first minibatch to its last grows.
    both_s = clock.input_storage_s + clock.output_storage_s
    with np.errstate(over="ignore"):
        low = np.minimum(whole, np.ceil(np.sqrt(share * both_s / clock.delay_s)) + 1)
    # Smaller minibatches still help while the layer's last one decides.
    high = whole
    for _ in range(int(np.log2(whole.max())) + 1):
        middle = np.floor((low + high) / 2)
        late = _last_decides(data, share, middle)
        low = np.where(late, np.minimum(middle + 1, high), low)
        high = np.where(late, high, middle)
    return high.astype(np.int64)


def _last_decides(data: LayerData, share: FloatArray, blocks: FloatArray) -> BoolArray:
    """Tell for which replicas the layer's last minibatch may decide when they are done."""
    clock, one = data.clock, np.ones_like(blocks)
    earliest_s, latest_s = data.head_s.min(), data.upload_s.max()
    size, compute_s = share / blocks, data.compute_s[:, None]
    own_s = earliest_s + clock.pipelined_s(share, blocks, compute_s)
    last_s = latest_s + clock.pipelined_s(size, one, compute_s)
    decides: BoolArray = (last_s > own_s).any(axis=0)
    return decides
