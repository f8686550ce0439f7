"""The caller killed in the middle of a batch, which is then run again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import lambda_killed
from lambda_deployed import removed_at_the_end

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.remove import remove
from moeopt.adapters.aws_lambda.stand.faults import Fault
from moeopt.adapters.aws_lambda.stand.local import Stand

#: Seconds that the child has to get into the middle.
_DEADLINE_S = 60.0


def test_lambda_faults_killed_in_the_middle_the_batch_runs_again(
    stand: Stand, clients: Clients
) -> None:
    here = lambda_killed.deployed_for_it(clients)
    with removed_at_the_end(here):
        # The function is called, and held up while it fetches its parameters.
        stand.inject(Fault("s3-slow", key="weights/", seconds=5.0))
        command = [sys.executable, str(Path(lambda_killed.__file__))]
        child = subprocess.Popen(command, env=os.environ | stand.environment())
        try:
            until_s = time.monotonic() + _DEADLINE_S
            while not _keys(here.fleet.bucket, here.fleet.names.batches, clients):
                assert time.monotonic() < until_s
                assert child.poll() is None
                time.sleep(0.02)
        finally:
            child.kill()
            child.wait()
        stand.clear()
        with here.gate() as gate:
            here.require_right(0, here.batch(gate, 0).run())

        # What the killed one uploaded is the deployment's still, and goes with it.
        assert _keys(here.fleet.bucket, here.fleet.names.batches, clients)
        remove(here.fleet.names, clients)
        buckets = {bucket["Name"] for bucket in clients.storage.list_buckets()["Buckets"]}
        assert here.fleet.bucket not in buckets


def _keys(bucket: str, prefix: str, clients: Clients) -> list[str]:
    found = clients.storage.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [each["Key"] for each in found.get("Contents", [])]
