"""Bad and infeasible instances of the serverless wing: small changes of one valid base."""

from __future__ import annotations

import copy
import json
from typing import Any

from bad_instance import Case, file_with

#: 18 MiB and 3,072 bytes of a token each way, of which 1,536 fit into a call.
SERVERLESS_BASE: dict[str, Any] = {
    "problem": "serverless",
    "version": 1,
    "name": "base",
    "layers": [
        {"tokens": [600, 300, 0], "non_moe_s": 0.1, "next_parameter_bytes": 20_000_000},
        {"tokens": [400, 400, 100], "non_moe_s": 0.1, "next_parameter_bytes": 20_000_000},
    ],
    "expert": {
        "parameter_bytes": 18_874_368,
        "intermediate_bytes": 50_000_000,
        "input_bytes_per_token": 3072,
        "output_bytes_per_token": 3072,
        "compute": {"kind": "table", "seconds_per_token": [0.01, 0.002]},
    },
    "network": {
        "storage_bytes_per_s": 65e6,
        "function_bytes_per_s": 40e6,
        "access_delay_s": 0.08,
        "warm_start_s": 0.2,
    },
    "memory_mb": [128, 1024],
    "max_replicas": 2,
}

#: Replaces a field; not a value of its own.
_GONE = object()


def bad(name: str, *says: str, code: int = 2, **fields: Any) -> Case:
    """Return a case whose document has other fields; ``expert__compute`` is one within another."""
    document = copy.deepcopy(SERVERLESS_BASE)
    for field, value in fields.items():
        *outer, last = field.split("__")
        at = document
        for key in outer:
            at = at.setdefault(key, {}) if isinstance(at, dict) else at[int(key)]
        if value is _GONE:
            del at[last]
        else:
            at[last] = value
    data = json.dumps(document).encode()
    return Case(f"serverless-{name}", lambda folder: file_with(folder, data), says, code)


#: Values of the wrong type or shape, or that contradict a rule or each other.
SERVERLESS = [
    bad("no-layers", "$.layers: must name a layer", "got []", "in order", layers=[]),
    bad(
        "no-tokens",
        "$.layers[1].tokens: must be given if there is no prediction",
        "<missing>",
        "add a prediction",
        layers__1__tokens=_GONE,
    ),
    bad(
        "negative-tokens",
        "$.layers[0].tokens[1]: must be a finite number >= 0",
        "got -1",
        "correct",
        layers__0__tokens=[2, -1],
    ),
    bad(
        "three-axes",
        "$.layers[0].tokens: must have shape (experts,) or (scenarios, experts)",
        "<shape (1, 1, 2)>",
        "one number for each expert",
        layers__0__tokens=[[[1, 2]]],
    ),
    bad(
        "scenarios-differ",
        "$.layers[1].tokens: must have the 1 scenarios of layer 0",
        "<2 scenarios>",
        "the same scenarios",
        layers__1__tokens=[[1, 2], [3, 4]],
    ),
    bad(
        "parameters-of-experts",
        "$.layers[0].parameter_bytes: must have shape (3,) = (experts)",
        "<shape (2,)>",
        layers__0__parameter_bytes=[1, 2],
    ),
    bad(
        "no-expert",
        "$.layers[0].expert: must be given if the problem has no expert",
        "<missing>",
        "add expert",
        expert=_GONE,
    ),
    bad(
        "table-too-short",
        "$.expert.compute.seconds_per_token: must have one entry for each of the 2 sizes",
        "<1 entries>",
        "measure the others",
        expert__compute={"kind": "table", "seconds_per_token": [1]},
    ),
    bad(
        "compute-of-no-kind",
        "$.expert.compute",
        "gpu",
        expert__compute={"kind": "gpu", "seconds_per_token": 1},
    ),
    bad(
        "sizes-out-of-order",
        "$.memory_mb: must be sizes in growing order, each named once",
        "got [1024, 128]",
        "order them",
        memory_mb=[1024, 128],
    ),
    bad(
        "size-beyond-the-platform",
        "$.memory_mb[1]: must be 128 to 10240 MB in steps of 1",
        "got 20000",
        "correct it",
        memory_mb=[128, 20000],
    ),
    bad("no-rate", "$.network.storage_bytes_per_s", "> 0", network__storage_bytes_per_s=0),
    bad("no-replica", "$.max_replicas", ">= 1", "got 0", max_replicas=0),
    bad(
        "too-many-options",
        "$.max_replicas: must make at most 20000000 cells",
        "is a count misprinted?",
        layers=[{"tokens": [1] * 20_000}],
        max_replicas=1000,
    ),
    bad("design", "$.designs[1]: must be one of", "got 4", designs=[1, 4]),
    bad("design-twice", "$.designs: must name designs, each once", "got [3, 3]", designs=[3, 3]),
    bad(
        "degree-of-what",
        "$.pipeline_degree: must be one of",
        "got 'models'",
        "did you mean 'model'?",
        pipeline_degree="models",
    ),
    bad("promise", "$.slo_s", "> 0", "got -1", slo_s=-1),
    bad(
        "weights",
        "$.scenario_weights: must have shape (1,) = (scenarios)",
        "<shape (2,)>",
        scenario_weights=[1, 2],
    ),
    bad(
        "price-book",
        "$.prices: must be a price book preset (aws-lambda)",
        "got 'aws-lamda'",
        "did you mean 'aws-lambda'?",
        prices="aws-lamda",
    ),
    bad(
        "architecture",
        "$.architecture: must be one of x86, arm64",
        "got 'arm'",
        "choose one",
        architecture="arm",
    ),
    bad("storage", "$.storage: must be one of s3-standard, s3-express", "got 'efs'", storage="efs"),
    bad(
        "payload",
        "$.payload_bytes: must be at most 6291456, the platform's largest request",
        "got 6291457",
        "a price book of your own",
        payload_bytes=6291457,
    ),
    bad("cold-share", "$.billing.cold_share", "<= 1", "got 1.5", billing__cold_share=1.5),
    bad(
        "held-and-cold",
        "$.billing.cold_share: must be left out with provisioned_s",
        "got 0.5",
        "leave one of the two out",
        billing={"provisioned_s": 60, "cold_share": 0.5},
    ),
    bad(
        "ephemeral",
        "$.billing.ephemeral_mb: must be at most 10240",
        "got 20000",
        billing__ephemeral_mb=20000,
    ),
    bad(
        "endless",
        "$.layers[0]: must take a finite time, at a finite cost",
        "rescale",
        network__storage_bytes_per_s=1e-305,
    ),
    bad("other-wing", "$.groups: must not be there", "no such field", groups=2),
]

#: Well-formed, and no plan can exist: exit code 3, with the constraint and by how much.
SERVERLESS_INFEASIBLE = [
    bad(
        "memory",
        "infeasible: C3 at $.memory_mb",
        "expert 0 of layer 0",
        "more than 1024 MB",
        "allow more memory or replicas",
        code=3,
        expert__intermediate_bytes=2**30,
    ),
    bad(
        "payload-of-a-call",
        "infeasible: C4 at $.designs",
        "allow design 1 or 2, or more replicas",
        "off by 83648",
        code=3,
        designs=[3],
        payload_bytes=300 * 3072 - 83648,
    ),
    bad(
        "longest-call",
        "infeasible: C5 at $.max_replicas",
        "expert 0 of layer 0",
        "the platform's 900",
        code=3,
        expert__compute={"kind": "table", "seconds_per_token": [20, 4]},
    ),
    bad(
        "promise-too-short",
        "infeasible: C6 at $.slo_s",
        "the shortest latency there is",
        "USD",
        code=3,
        slo_s=1.0,
    ),
]
