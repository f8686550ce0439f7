"""A layer's rows cut into pieces: what one call computes, and how it is cut again if it cannot."""

from __future__ import annotations

from dataclasses import dataclass, replace

from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.core.arrays import IntArray


@dataclass(frozen=True)
class Piece:
    """The work of one call: some of a replica's tokens.

    Attributes
    ----------
    name
        Its own among all pieces of the batch; begins the names of its objects.
    expert, replica
        Who computes it.
    first
        Its first row.
    minibatches
        Tokens of each minibatch, which follow each other.
    halvings
        Times that it was halved before.
    """

    name: str
    expert: int
    replica: int
    first: int
    minibatches: tuple[int, ...]
    halvings: int = 0

    @property
    def tokens(self) -> int:
        """Number of its tokens."""
        return sum(self.minibatches)

    @property
    def rows(self) -> slice:
        """Its rows."""
        return slice(self.first, self.first + self.tokens)

    @property
    def slices(self) -> list[slice]:
        """Rows of each minibatch."""
        slices, at = [], self.first
        for tokens in self.minibatches:
            slices.append(slice(at, at + tokens))
            at += tokens
        return slices


def cut(fleet: Fleet, layer: int, counts: IntArray) -> tuple[Piece, ...]:
    """Return a layer's pieces: one for each replica with tokens, more if a call cannot carry it.

    Replicas share an expert's tokens as equally as whole tokens can be, and so do the pieces of a
    replica whose tokens go in calls, design 3.

    Parameters
    ----------
    fleet, layer
        Whose plan.
    counts
        Tokens of each expert, ``(experts,)``.
    """
    direct = int(fleet.plan.design[layer]) == 3
    most, first, pieces = fleet.direct_tokens(layer) if direct else 0, 0, []
    for expert, tokens in enumerate(counts.tolist()):
        for replica, share in enumerate(fleet.shares(layer, expert, tokens)):
            for part, size in enumerate(_parts(share, most or share)):
                name = f"{layer}-{expert}-{replica}" + (f"-{part}" if share > size else "")
                pieces.append(_piece(fleet, layer, name, expert, replica, first, size))
                first += size
    return tuple(pieces)


def halved(fleet: Fleet, layer: int, piece: Piece) -> tuple[Piece, Piece]:
    """Return the two halves of a piece of more than one token."""
    sizes = _parts(piece.tokens, -(-piece.tokens // 2))
    left, right = (
        _piece(fleet, layer, f"{piece.name}.{k}", piece.expert, piece.replica, first, size)
        for k, (first, size) in enumerate(
            zip((piece.first, piece.first + sizes[0]), sizes, strict=True)
        )
    )
    halvings = piece.halvings + 1
    return replace(left, halvings=halvings), replace(right, halvings=halvings)


def _piece(
    fleet: Fleet, layer: int, name: str, expert: int, replica: int, first: int, tokens: int
) -> Piece:
    return Piece(name, expert, replica, first, tuple(fleet.minibatches(layer, tokens)))


def _parts(tokens: int, most: int) -> list[int]:
    """Return tokens in as few parts of at most so many as there can be, as equal as can be."""
    number = -(-tokens // most)
    each, more = divmod(tokens, number)
    return [each + (k < more) for k in range(number)]
