"""The corners of trails: what replanning keeps of each layer's descent."""

from moeopt.core.jit import kernel

#: Heat that is not below this share of another is no less: sums round.
LESS = 1 - 1e-12


@kernel
def hulls(trails, points, convex, kept):
    """Mark in each trail the corners of its lower hull: least heat over copied size.

    Parameters
    ----------
    trails
        ``(layers, points, 2)``: size and heat, points of each layer in ascending order of size.
    points
        ``(layers,)``: how many each layer has.
    convex
        Whether the hull is convex; else every point is a corner that no other is as good as.
    kept
        Out, ``(layers, points)``: the corners' numbers in order; -1 after the last.
    """
    for k in range(len(trails)):
        corners = 0
        for i in range(points[k]):
            size, heat = trails[k, i, 0], trails[k, i, 1]
            if corners > 0 and heat >= trails[k, kept[k, corners - 1], 1] * LESS:
                continue
            while corners > 0 and size <= trails[k, kept[k, corners - 1], 0]:
                corners -= 1
            while convex and corners > 1:
                p, q = kept[k, corners - 2], kept[k, corners - 1]
                before = (trails[k, p, 1] - trails[k, q, 1]) * (size - trails[k, q, 0])
                after = (trails[k, q, 1] - heat) * (trails[k, q, 0] - trails[k, p, 0])
                if before > after:
                    break
                corners -= 1
            kept[k, corners] = i
            corners += 1
        kept[k, corners:] = -1
