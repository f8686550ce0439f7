"""A stand that many tests share: to start one costs a second."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from lambda_small import family, require_gone

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.stand.local import Stand


@pytest.fixture(scope="session")
def stand() -> Iterator[Stand]:
    """Start a stand without delays; a test that injects faults or reshapes it undoes that.

    Killed, it leaves nothing.
    """
    with Stand() as started:
        yield started
        pids = family(started.pid)
        assert started.folder.exists()
        os.kill(started.pid, signal.SIGKILL)
        require_gone(pids, started.folder)
    started.close()


@pytest.fixture(scope="session")
def clients(stand: Stand) -> Clients:
    return stand.clients()
