"""What a layer's error tells of the pieces that failed."""

from __future__ import annotations

from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.adapters.aws_lambda.dispatch.batch import LayerError
from moeopt.adapters.aws_lambda.dispatch.failures import Failure
from moeopt.adapters.aws_lambda.dispatch.pieces import Piece
from moeopt.adapters.aws_lambda.dispatch.turn import Lost


def test_pieces_of_an_expert_are_told_together_however_long_each_was_tried() -> None:
    record = LayerRecord(batch="one", layer=0, design=3, tokens=(5, 4), seconds=0.2, calls=())
    lost = tuple(
        Lost(Piece(f"0-{i}", 0, i, 0, (tokens,)), Failure("service", f"gone (after 0.{i} s)."))
        for i, tokens in enumerate((3, 2))
    )
    said = str(LayerError(None, lost, record))  # type: ignore[arg-type]
    assert "5 of 9 tokens at experts failed" in said
    assert "(expert 0, 5 tokens in 2 calls: service: gone (after 0.0 s));" in said
