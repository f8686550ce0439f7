"""The caller killed in the middle of a batch, which is then run again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import lambda_killed
import numpy as np
from lambda_deployed import removed_at_the_end

from moeopt.adapters.aws_lambda.batch import LayerResult
from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.remove import remove
from moeopt.adapters.aws_lambda.stand.faults import Fault
from moeopt.adapters.aws_lambda.stand.local import Stand

#: Seconds that the child has to get into the middle, and to end.
_DEADLINE_S = 60.0


def test_lambda_faults_killed_in_the_middle_the_batch_runs_again(
    stand: Stand, clients: Clients, tmp_path: Path
) -> None:
    here = lambda_killed.deployed_for_it(clients)
    with removed_at_the_end(here):
        command = [sys.executable, str(Path(lambda_killed.__file__)), str(tmp_path / "outputs.npy")]
        environment = os.environ | stand.environment()
        before = stand.statistics().calls
        # The functions are called, and held up while they fetch their parameters.
        stand.inject(Fault("s3-slow", times=2, key="weights/", seconds=5.0))
        child = subprocess.Popen(command, env=environment)
        try:
            until_s = time.monotonic() + _DEADLINE_S
            while not _keys(here.fleet.bucket, here.fleet.names.batches, clients):
                assert time.monotonic() < until_s
                assert child.poll() is None
                time.sleep(0.02)
        finally:
            child.kill()
            child.wait()
        assert not (tmp_path / "outputs.npy").exists()
        stand.clear()

        subprocess.run(command, env=environment, check=True, timeout=_DEADLINE_S)
        record = LayerRecord(batch="", layer=0, design=1, tokens=(), seconds=0.0, calls=())
        here.require_right(0, LayerResult(np.load(tmp_path / "outputs.npy"), record))
        assert stand.statistics().calls > before

        # What the killed one uploaded is the deployment's still, and goes with it.
        assert _keys(here.fleet.bucket, here.fleet.names.batches, clients)
        remove(here.fleet.names, clients)
        buckets = {bucket["Name"] for bucket in clients.storage.list_buckets()["Buckets"]}
        assert here.fleet.bucket not in buckets


def _keys(bucket: str, prefix: str, clients: Clients) -> list[str]:
    found = clients.storage.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [each["Key"] for each in found.get("Contents", [])]
