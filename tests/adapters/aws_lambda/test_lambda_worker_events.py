"""What a function accepts as an event, and how it says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_cases import direct_event, some_tokens, stored_event

from moeopt.adapters.aws_lambda.worker.events import checked, tokens_of
from moeopt.adapters.aws_lambda.worker.protocol import Event

DIRECT = direct_event(some_tokens(3))
PIPELINED = stored_event([2, 1], "k/")

_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@pytest.mark.parametrize("event", [DIRECT, PIPELINED, stored_event([4], "k/")])
def test_what_keeps_to_the_protocol_is_accepted(event: Event) -> None:
    assert checked(event) is event


def test_a_direct_event_carries_its_tokens() -> None:
    np.testing.assert_array_equal(tokens_of(DIRECT), some_tokens(3))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, r"\$.version: must be 1, is 2"),
        ({"version": True}, r"\$.version: must be 1, is True"),
        ({"piece": ""}, r"\$.piece: must be a name, is ''"),
        ({"piece": 5}, r"\$.piece: must be a name, is 5"),
        ({"design": 4}, r"\$.design: must be 1, 2 or 3, is 4"),
        ({"design": True}, r"\$.design: must be 1, 2 or 3, is True"),
        ({"width": 0}, r"\$.width: must be a whole number of at least 1, is 0"),
        ({"width": 8.0}, r"\$.width: must be a whole number"),
        ({"minibatches": []}, r"\$.minibatches: must be whole numbers of at least 1, and some"),
        ({"minibatches": [2, 0]}, r"\$.minibatches: must be whole numbers of at least 1"),
        ({"minibatches": 3}, r"\$.minibatches: must be whole numbers"),
        ({"design": 2}, r"\$.minibatches: must be one, unless the design is 1"),
        ({"inputs": ["a"]}, r"\$.inputs: must be 2 keys with this design"),
        ({"inputs": ["a", ""]}, r"\$.inputs: must be a list of keys"),
        ({"outputs": ["a", 1]}, r"\$.outputs: must be a list of keys"),
        ({"payload": "AAAA"}, r"\$.payload: must have 0 characters, has 4"),
        ({"payload": None}, r"\$.payload: must be text"),
        ({"wait_s": -1}, r"\$.wait_s: must be seconds, at least 0, is -1"),
        ({"wait_s": float("nan")}, r"\$.wait_s: must be seconds"),
        ({"wait_s": "5"}, r"\$.wait_s: must be seconds"),
        ({"more": 1}, r"\$.more: is none of version, piece"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked({**PIPELINED, **changes})


def test_a_direct_event_is_as_long_as_its_tokens() -> None:
    with pytest.raises(ValueError, match=r"\$.payload: must have 128 characters, has 4"):
        checked({**DIRECT, "payload": "AAAA"})
    with pytest.raises(ValueError, match=r"\$.inputs: must be 0 keys"):
        checked({**DIRECT, "inputs": ["a"]})
    with pytest.raises(ValueError, match=r"\$.payload: "):
        tokens_of(checked({**DIRECT, "payload": "!" * 128}))


def test_what_is_no_event_is_said() -> None:
    with pytest.raises(ValueError, match="the event must be an object, is list"):
        checked([])
    with pytest.raises(ValueError, match=r"\$.version: must be 1, is None"):
        checked({})
    missing = {name: value for name, value in DIRECT.items() if name != "wait_s"}
    with pytest.raises(ValueError, match=r"\$.wait_s: is missing"):
        checked(missing)


@given(
    event=st.sampled_from([DIRECT, PIPELINED]),
    changes=st.dictionaries(st.sampled_from([*Event.__annotations__, "more"]), _ANYTHING),
)
def test_any_event_is_accepted_or_refused_with_a_sentence(
    event: Event, changes: dict[str, Any]
) -> None:
    said = None
    try:
        accepted = checked({**event, **changes})
        tokens = len(tokens_of(accepted)) if accepted["design"] == 3 else None
    except ValueError as error:
        said = str(error)
    if said is None:
        assert tokens in (None, accepted["minibatches"][0])
    else:
        assert said.startswith("$.")
