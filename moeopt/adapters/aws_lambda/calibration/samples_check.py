"""Whether records can be of an instance: what nothing was measured for is not fitted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from moeopt.adapters.aws_lambda.calls import Call, GateTraffic, LayerRecord, Seconds
from moeopt.adapters.aws_lambda.fleet import ENVELOPE_BYTES
from moeopt.adapters.aws_lambda.worker.protocol import text_bytes
from moeopt.core.errors import InstanceError
from moeopt.serverless.problem import ServerlessProblem


def check_records(problem: ServerlessProblem, records: Sequence[LayerRecord]) -> None:
    """Raise `InstanceError` unless the records can be of this problem."""
    experts = problem.experts()
    for number, record in enumerate(records, 1):
        path = f"record {number}"
        if not 0 <= record.layer < len(experts):
            rule = f"must be one of the instance's {len(experts)} layers"
            raise _strange(f"{path}: layer", record.layer, rule)
        if len(record.tokens) != experts[record.layer]:
            rule = f"must be {experts[record.layer]} experts, as layer {record.layer} has"
            raise _strange(f"{path}: tokens", f"<{len(record.tokens)} experts>", rule)
        _check_traffic(record.traffic, f"{path}: traffic")
        for call in record.calls:
            _check_call(problem, record, call, path)


def _check_traffic(traffic: GateTraffic, path: str) -> None:
    """Raise `InstanceError` unless each access of the gate has its bytes and its seconds."""
    _check_numbers(traffic, path)
    for way in ("read", "write"):
        seconds, sizes = getattr(traffic, f"{way}_s"), getattr(traffic, f"{way}_bytes")
        if len(seconds) != len(sizes):
            rule = f"must be one for each of {len(seconds)} accesses"
            raise _damaged(f"{path}.{way}_bytes", f"<{len(sizes)} sizes>", rule)


def _check_call(problem: ServerlessProblem, record: LayerRecord, call: Call, path: str) -> None:
    """Raise `InstanceError` unless a call can be of this record and problem."""
    if call.layer != record.layer or not 0 <= call.expert < len(record.tokens):
        whose = f"<expert {call.expert} of layer {call.layer}>"
        raise _strange(f"{path}: calls", whose, f"must be of experts of layer {record.layer}")
    own = f"{path}: call of {call.piece}"
    _check_numbers(call, own)
    if call.ended_s < call.began_s:
        raise _damaged(f"{own}: ended_s", call.ended_s, f"must be >= began_s, {call.began_s:g}")
    if call.design not in (1, 2, 3):
        raise _damaged(f"{own}: design", call.design, "must be 1, 2 or 3")
    if call.seconds is not None and call.error is None:
        _check_clock(call, call.seconds, own)
        _check_bytes(problem, call, call.seconds, own)


def _check_clock(call: Call, clock: Seconds, path: str) -> None:
    """Raise `InstanceError` unless a function's clock tells of each minibatch."""
    _check_numbers(clock, f"{path}: seconds")
    through_storage = len(call.minibatches) if call.design != 3 else 0
    lengths = {len(clock.read_s), len(clock.read_bytes), len(clock.write_s), len(clock.write_bytes)}
    if lengths != {through_storage} or len(clock.compute_s) != len(call.minibatches):
        rule = f"must tell of {len(call.minibatches)} minibatches"
        raise _damaged(f"{path}: seconds", "<other numbers of them>", rule)


def _check_bytes(problem: ServerlessProblem, call: Call, clock: Seconds, path: str) -> None:
    """Raise `InstanceError` unless inputs and outputs are as large as the problem's tokens."""
    expert = problem.expert_of(call.layer)
    ways = (
        ("inputs", expert.input_bytes_per_token, sum(clock.read_bytes), call.request_bytes),
        ("outputs", expert.output_bytes_per_token, sum(clock.write_bytes), call.response_bytes),
    )
    for name, each, stored, sent in ways:
        size, most = stored, call.tokens * each
        if call.design == 3:
            # As text, and with what is said beside it.
            size, most = sent, text_bytes(int(most)) + ENVELOPE_BYTES
        least = most - ENVELOPE_BYTES if call.design == 3 else most
        if not least <= size <= most:
            rule = f"must be {each:g} bytes of each of {call.tokens} tokens, as the instance has it"
            raise _strange(f"{path}: {name}", f"<{size} bytes>", rule)


def _check_numbers(found: Call | Seconds | GateTraffic, path: str) -> None:
    """Raise `InstanceError` if a number is negative."""
    for name, value in msgspec.structs.asdict(found).items():
        values = value if isinstance(value, tuple) else (value,)
        for each in values:
            if isinstance(each, int | float) and each < 0:
                raise _damaged(f"{path}: {name}", each, "must be >= 0")


def _strange(path: str, value: object, rule: str) -> InstanceError:
    return InstanceError(path, value, rule, "give the instance that was run")


def _damaged(path: str, value: object, rule: str) -> InstanceError:
    return InstanceError(path, value, rule, "give the recording as it was written")
