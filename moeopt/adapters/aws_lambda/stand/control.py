"""How a stand is steered: requests to ``/_stand/`` that AWS does not have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from moeopt.adapters.aws_lambda.stand.errors import Refusal, answer
from moeopt.adapters.aws_lambda.stand.faults import Fault
from moeopt.adapters.aws_lambda.stand.listener import body_of
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.adapters.aws_lambda.stand.state import State
from moeopt.adapters.aws_lambda.stand.statistics import Statistics


class Control:
    """Answers these requests.

    Parameters
    ----------
    state
        Of the stand.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def answer(self, what: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request.

        Parameters
        ----------
        what
            What is to be done: the rest of the path.
        environ, start_response
            As WSGI has them.
        """
        state, body = self._state, body_of(environ)
        said: Any = None
        if what == "faults":
            state.faults.add(msgspec.json.decode(body, type=list[Fault]))
        elif what == "clear":
            state.faults.clear()
        elif what == "shape":
            state.shape = msgspec.json.decode(body, type=Shape)
            state.links.reshape(state.shape)
        elif what == "chill":
            state.pool.chill()
        elif what == "statistics":
            said = Statistics(
                workers=state.pool.alive(),
                calls=state.calls,
                cold_starts=state.cold_starts,
                throttled=state.slots.refused,
                traffic=state.counts.read(),
            )
        else:
            raise Refusal(404, "ResourceNotFoundException", f"nothing is called {what}")
        return answer(start_response, 200, msgspec.json.encode(said))
