"""One run over a layer's missing pieces: calls, uploads and reads, and what became of each.

One thread decides, others wait for the network: what happened comes back to the first as finished
futures, so nothing here is locked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any, TypeVar

from moeopt.adapters.aws_lambda.calls import Call, GateTraffic
from moeopt.adapters.aws_lambda.dispatch.exchange import Access, Exchange, packed
from moeopt.adapters.aws_lambda.dispatch.failures import Failure
from moeopt.adapters.aws_lambda.dispatch.invoke import Caller, Outcome, Target
from moeopt.adapters.aws_lambda.dispatch.patience import Patience
from moeopt.adapters.aws_lambda.dispatch.pieces import Piece, halved
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.worker.protocol import VERSION, Event, Tensor, to_text
from moeopt.core.arrays import IntArray
from moeopt.core.errors import AdapterError

_T = TypeVar("_T")


@dataclass(frozen=True)
class Means:
    """What all runs of a gate share.

    Attributes
    ----------
    fleet
        Plan and names.
    caller
        Calls functions.
    exchange
        Reads and writes objects.
    calling, carrying
        Threads for calls, and for objects: a call may wait for an object, so objects must not
        wait for calls.
    patience
        How often pieces are halved.
    wait_s
        How long a function waits for inputs; ``None`` for half its time-out.
    """

    fleet: Fleet
    caller: Caller
    exchange: Exchange
    calling: Executor
    carrying: Executor
    patience: Patience
    wait_s: float | None = None

    def waiting_s(self, layer: int) -> float:
        """Return how long a layer's functions wait for inputs.

        Less than their time-out, after which fewer tokens would be tried in vain.
        """
        return self.fleet.timeout_s(layer) / 2.0 if self.wait_s is None else self.wait_s


@dataclass(frozen=True)
class Work:
    """What is computed, and where its outputs go.

    Attributes
    ----------
    layer
        Which.
    tokens
        Of the batch, ``(tokens, width)``.
    token
        Whose each row is, ``(rows,)``.
    answers
        Outputs, ``(rows, output width)``: written here.
    objects
        What the keys of the batch's objects begin with.
    """

    layer: int
    tokens: Tensor
    token: IntArray
    answers: Tensor
    objects: str

    def inputs(self, piece: Piece) -> list[str]:
        """Return the keys of a piece's inputs."""
        return [f"{self.objects}{piece.name}/in-{k}" for k in range(len(piece.minibatches))]

    def outputs(self, piece: Piece) -> list[str]:
        """Return the keys of a piece's outputs."""
        return [f"{self.objects}{piece.name}/out-{k}" for k in range(len(piece.minibatches))]


@dataclass(frozen=True)
class Lost:
    """A piece that failed for good, and why."""

    piece: Piece
    failure: Failure


@dataclass
class Turn:
    """One run.

    Attributes
    ----------
    means, work
        By whom and of what.
    missing
        Pieces to do, by name: those done are taken out, those too large replaced by their halves.
    lost
        Of the missing ones, those that failed.
    keys
        Objects that may have been written.
    calls
        All attempts, in order of their ends.
    written, read
        The caller's own requests.
    seconds
        That it took.
    """

    means: Means
    work: Work
    missing: dict[str, Piece]
    keys: set[str]
    lost: dict[str, Lost] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    written: list[Access] = field(default_factory=list)
    read: list[Access] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._finished: SimpleQueue[Future[Any]] = SimpleQueue()
        self._open: dict[Future[Any], Callable[[Any], None]] = {}
        self._unsent: dict[str, Iterator[tuple[str, slice]]] = {}
        self._unread: dict[str, int] = {}
        # One for each piece: set when nothing more is to be begun for it.
        self._stops: dict[str, threading.Event] = {}
        self._stopped = False
        self._began_s = time.perf_counter()
        self._direct = int(self.means.fleet.plan.design[self.work.layer]) == 3
        self._wait_s = self.means.waiting_s(self.work.layer)

    def run(self) -> None:
        """Do what is missing, until each piece is done or lost.

        If interrupted, what has not begun is left, calls that fail are not made again, and a later
        run may follow.
        """
        self._began_s = time.perf_counter()
        try:
            self._begin(list(self.missing.values()))
            while self._open:
                future = self._finished.get()
                self._open.pop(future)(future)
            self.seconds = self._clock()
        finally:
            self.stop()
            for future in list(self._open):
                future.cancel()

    def stop(self) -> None:
        """Begin nothing more: what is not done when it ends is lost. Any thread may say so."""
        self._stopped = True
        for stop in list(self._stops.values()):
            stop.set()

    @property
    def traffic(self) -> GateTraffic:
        """What was asked of storage."""
        return GateTraffic(
            write_s=tuple(access.seconds for access in self.written),
            write_bytes=tuple(access.bytes for access in self.written),
            read_s=tuple(access.seconds for access in self.read),
            read_bytes=tuple(access.bytes for access in self.read),
        )

    def _clock(self) -> float:
        return time.perf_counter() - self._began_s

    def _begin(self, pieces: Sequence[Piece]) -> None:
        """Call functions, and upload the first minibatch of each."""
        for piece in pieces:
            self._want(piece)
            self._submit(self.means.calling, self._called, piece, self._call, piece)
        if self._direct:
            return
        for piece in pieces:
            keys = self.work.inputs(piece)
            self.keys.update(keys, self.work.outputs(piece))
            self._unsent[piece.name] = iter(list(zip(keys, piece.slices, strict=True)))
            self._upload_next(piece)

    def _upload_next(self, piece: Piece) -> None:
        """Upload a piece's next minibatch.

        One after the other: all at once they would share the link, and none would be there early.
        """
        key, rows = next(self._unsent[piece.name], (None, None))
        if key is not None:
            self._submit(self.means.carrying, self._wrote, piece, self._write, key, rows)

    def _want(self, piece: Piece) -> None:
        """Have what follows for a piece done, whatever became of it before."""
        self._stops[piece.name] = threading.Event()
        if self._stopped:
            self._stops[piece.name].set()

    def _called(self, piece: Piece, future: Future[Outcome]) -> None:
        """Take the end of a piece's calls."""
        outcome = future.result()
        self.calls += outcome.calls
        failure = outcome.failure
        if failure is None:
            self._answered(piece, outcome)
        elif failure.splits and piece.tokens > 1:
            self._halve(piece, failure)
        else:
            self._lose(piece, failure)

    def _halve(self, piece: Piece, failure: Failure) -> None:
        """Replace a piece that is too much for a call by its halves, unless it is one too often."""
        if piece.halvings < self.means.patience.halvings:
            halves = halved(self.means.fleet, self.work.layer, piece)
            self._leave(piece)
            self.missing.update({half.name: half for half in halves})
            self._begin(halves)
        else:
            said = f"{failure.message} (halved {piece.halvings} times before)"
            self._lose(piece, replace(failure, message=said))

    def _answered(self, piece: Piece, outcome: Outcome) -> None:
        """Take a call's outputs, or begin to read them."""
        if self._direct:
            self.work.answers[piece.rows] = outcome.outputs
            self._leave(piece)
            return
        self._unread[piece.name] = len(piece.minibatches)
        # It may have been given up for an upload that was there after all.
        self._want(piece)
        for key, rows in zip(self.work.outputs(piece), piece.slices, strict=True):
            into = self.work.answers[rows]
            read = self.means.exchange.read
            self._submit(self.means.carrying, self._has_read, piece, read, key, into)

    def _wrote(self, piece: Piece, future: Future[Access]) -> None:
        """Take the end of an upload. Where it failed, so will the call: this is why."""
        try:
            self.written.append(future.result())
        except AdapterError as error:
            self._lose(piece, Failure("storage", str(error), ran=False))
        else:
            self._upload_next(piece)

    def _has_read(self, piece: Piece, future: Future[Access]) -> None:
        """Take the end of a read; a piece is done when all its minibatches are there."""
        try:
            self.read.append(future.result())
        except AdapterError as error:
            self._lose(piece, Failure("storage", str(error)))
            return
        self._unread[piece.name] -= 1
        if not self._unread[piece.name]:
            self._leave(piece)

    def _lose(self, piece: Piece, failure: Failure) -> None:
        """Note why a piece failed, unless it is known, or the piece is not needed any more."""
        self._stops[piece.name].set()
        if piece.name in self.missing:
            self.lost.setdefault(piece.name, Lost(piece, failure))

    def _leave(self, piece: Piece) -> None:
        """Take a piece that is done, or replaced by its halves, from what is missing."""
        self._stops[piece.name].set()
        self.missing.pop(piece.name, None)
        self.lost.pop(piece.name, None)

    def _submit(
        self, threads: Executor, then: Callable[[Piece, Future[Any]], None], piece: Piece,
        what: Callable[..., Any], *arguments: Any,
    ) -> None:  # fmt: skip
        """Have something done by another thread, and its end taken by this one."""
        future = submitted(threads, what, *arguments, self._stops[piece.name])
        self._open[future] = lambda done: then(piece, done)
        future.add_done_callback(self._finished.put)

    def _write(self, key: str, rows: slice, stop: threading.Event) -> Access:
        """Upload a minibatch; packed only now, so that few are in memory at once."""
        data = packed(self.work.tokens, self.work.token[rows])
        return self.means.exchange.write(key, data, stop)

    def _call(self, piece: Piece, stop: threading.Event) -> Outcome:
        """Call a piece's function until it is done, or failed for good."""
        work, layer = self.work, self.work.layer
        payload = to_text(work.tokens[work.token[piece.rows]]) if self._direct else ""
        event = Event(
            version=VERSION,
            piece=f"{work.objects}{piece.name}",
            design=int(self.means.fleet.plan.design[layer]),
            width=work.tokens.shape[1],
            minibatches=list(piece.minibatches),
            inputs=[] if self._direct else work.inputs(piece),
            payload=payload,
            outputs=[] if self._direct else work.outputs(piece),
            wait_s=self._wait_s,
        )
        target = Target(layer, piece.expert, piece.replica)
        return self.means.caller.call(target, event, self._clock, stop)


def submitted(threads: Executor, what: Callable[..., _T], *arguments: Any) -> Future[_T]:
    """Return what a gate's threads will have done.

    Raises
    ------
    AdapterError
        If they have ended.
    """
    try:
        return threads.submit(what, *arguments)
    except RuntimeError as error:
        remedy = "run batches before, or inside its with"
        raise AdapterError(f"the gate is closed: {remedy} ({error})") from None
