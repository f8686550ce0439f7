"""More than a call carries or a function holds: pieces are halved until they fit.

With a call at a time, so that few workers start.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from lambda_cases import mini, plan_of
from lambda_deployed import Deployed, deployed

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.dispatch.batch import LayerError
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.describe.pricing import PriceBook, price_book
from moeopt.serverless.problem import ExpertFunction, ServerlessLayer, VcpuModel

_KB, _MB = 2**10, 2**20


def generous() -> PriceBook:
    """Return Lambda's prices with a payload that it does not really take."""
    book = price_book("aws-lambda")
    limits = msgspec.structs.replace(book.limits, payload_bytes=64 * _MB)
    return msgspec.structs.replace(book, limits=limits)


def one_expert(tokens: int, input_bytes: int, output_bytes: int) -> ServerlessLayer:
    """Return a layer of one expert with one hidden value."""
    expert = ExpertFunction(
        parameter_bytes=input_bytes + output_bytes,
        input_bytes_per_token=input_bytes,
        output_bytes_per_token=output_bytes,
        compute=VcpuModel(seconds_per_token=1e-5),
    )
    return ServerlessLayer(tokens=np.array([float(tokens)]), expert=expert)


#: Layers: a large request, a large response, a token too large by itself, and a function whose
#: plan knows nothing of what its process itself takes, nor of copies.
LAYERS = (
    one_expert(300, 16 * _KB, 16),
    one_expert(300, 16, 16 * _KB),
    one_expert(2, 5 * _MB, 16),
    one_expert(3000, 16, 16 * _KB),
)


@pytest.fixture(scope="module")
def here(clients: Clients) -> Iterator[Deployed]:
    problem = mini(layers=LAYERS, prices=generous())
    plan = plan_of(problem, (3, 3, 3, 2), memory_mb=1769)
    plan = msgspec.structs.replace(plan, memory_mb=np.array([[1769], [1769], [1769], [128]]))
    with deployed("limits", problem, plan, clients) as fleet:
        yield fleet


@pytest.mark.parametrize(
    ("layer", "said"), [(0, "RequestTooLargeException"), (1, "Function.ResponseSizeTooLarge")]
)
def test_lambda_faults_limits_a_payload_too_large_is_halved(
    here: Deployed, layer: int, said: str
) -> None:
    with here.gate(threads=1) as gate:
        result = here.batch(gate, layer).run()
    here.require_right(layer, result)
    calls = result.record.calls
    assert [call.tokens for call in calls] == [300, 150, 150]
    assert [call.error for call in calls] == ["payload", None, None]
    assert said in calls[0].message
    # A request that is refused never runs; a function whose answer is refused did.
    assert (calls[0].billed_s > 0) == (layer == 1)


def test_lambda_faults_limits_a_token_too_large_by_itself_is_told(here: Deployed) -> None:
    with (
        here.gate(threads=1) as gate,
        pytest.raises(LayerError, match=r"2 of 2 tokens.*payload.*RequestTooLarge") as caught,
    ):
        here.batch(gate, 2).run()
    assert [one.piece.tokens for one in caught.value.lost] == [1, 1]


def test_lambda_faults_limits_out_of_memory_is_halved(stand: Stand, here: Deployed) -> None:
    stand.reshape(Shape(processors=False))
    try:
        with here.gate(threads=1) as gate:
            result = here.batch(gate, 3).run()
    finally:
        stand.reshape(Shape())
    here.require_right(3, result)
    calls = result.record.calls
    first = min(calls, key=lambda call: call.began_s)
    assert (first.tokens, first.error) == (3000, "memory")
    assert first.billed_s > 0
    assert first.used_mb is not None
    assert first.used_mb >= 122
    assert sum(call.tokens for call in calls if call.error is None) == 3000
    assert {call.error for call in calls} == {"memory", None}
