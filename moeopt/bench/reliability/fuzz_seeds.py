"""Valid files of every format, small: where fuzzers begin."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from moeopt.bench.reliability.fuzz_mutations import zip_of
from moeopt.core.registry import wing_names
from moeopt.library import entries, folder

#: Instances of the library that are larger than this are no seeds.
_MOST_BYTES = 4096

#: Returns valid files.
Seeds = Callable[[], tuple[bytes, ...]]

#: The smallest instance of each wing that a hand-written plan below is of.
PLANNED = {
    "placement": "@placement/tiny-activated",
    "transfers": "@transfers/tiny-absent-relay",
    "colocation": "@colocation/tiny-bottleneck",
    "buffering": "@buffering/tiny-absent",
    "committee": "@committee/tiny-activations",
    "serverless": "@serverless/tiny-2x4",
}

_PLANS: dict[str, dict[str, Any]] = {
    "placement": {"physical_to_logical": [[0, 2, 1, 3]]},
    "transfers": {
        "destination": [1, 3, 3],
        "duration_s": [1, 2, 2],
        "origin": [0, 1, 0],
        "round_index": [0, 0, 1],
        "size_bytes": [2, 2, 2],
        "source": [0, 1, 1],
        "start_s": [0, 0, 2],
        "target": [3, 3, 3],
    },
    "colocation": {"device": [[1, 0], [1, 0]]},
    "buffering": {
        "capacity": [1],
        "drop_at": [1, 2],
        "drop_item": [0, 1],
        "load_at": [0, 1, 2],
        "load_item": [0, 1, 0],
        "order": None,
    },
    "committee": {"drops": [], "loads": [[0, 0, 0], [0, 0, 1]], "period": 1, "slots": [2]},
    "serverless": {
        "design": [2, 3],
        "memory_mb": [[512, 128, 128, 128], [384, 384, 384, 384]],
        "pipeline_degree": [0, 0],
        "replicas": [[1, 1, 1, 1], [1, 1, 1, 1]],
    },
}

_RESULT = {
    "status": "optimal",
    "limit": "none",
    "objective": 1.5,
    "bound": 1,
    "gap": 0.25,
    "method": "auto",
    "backend": "cpsat",
    "seed": 3,
    "runtime_s": 0.5,
    "build_s": 0.1,
    "statistics": {"rounds": 1, "layer_bound": [1], "by": "greedy"},
    "violations": [],
    "history": [[0.1, 3, 1], [0.2, 1.5, 1]],
}


@functools.cache
def problems(wing: str) -> tuple[bytes, ...]:
    """Return the wing's small instances of the library."""
    paths = [folder() / entry.path for entry in entries(f"{wing}/")]
    small = [path.read_bytes() for path in paths if path.stat().st_size <= _MOST_BYTES]
    # Their arrays lie beside them, where no copy of theirs will be.
    return tuple(data for data in small if b'"npz"' not in data)


@functools.cache
def plans(wing: str) -> tuple[bytes, ...]:
    """Return a plan of the instance in `PLANNED`, with and without a result's record."""
    bare = {"plan": wing, "version": 1, **_PLANS[wing]}
    return _json(bare), _json({**bare, "problem_sha256": "0" * 64, "result": _RESULT})


def npy(array: Any) -> bytes:
    """Return an array as ``.npy``."""
    out = io.BytesIO()
    np.save(out, np.asarray(array))
    return out.getvalue()


def npz(**arrays: Any) -> bytes:
    """Return arrays as ``.npz``."""
    return zip_of([(f"{name}.npy", npy(array)) for name, array in arrays.items()])


#: Three tokens, two layers, two experts of each.
_EXPERTS = np.array([[[0, 1], [2, 3]], [[1, 2], [3, 0]], [[2, 0], [1, 3]]])


def traces() -> tuple[bytes, ...]:
    """Return archives of moeopt's own."""
    return (
        npz(expert_ids=_EXPERTS),
        npz(
            expert_ids=_EXPERTS.astype(np.int16),
            gate_weights=np.full(_EXPERTS.shape, 0.5),
            sequence_lengths=[1, 2],
            token_ids=[5, 6, 5],
            attention_ids=[0, 5, 6],
            experts=4,
        ),
    )


def requests() -> tuple[bytes, ...]:
    """Return arrays of routed experts of one request."""
    return npy(_EXPERTS), npy(np.concatenate([_EXPERTS, np.full((1, 2, 2), -1)]).astype(np.int32))


def several_requests() -> tuple[bytes, ...]:
    """Return archives of routed experts of several requests."""
    return (npz(first=_EXPERTS, second=_EXPERTS[:1]),)


def loads() -> tuple[bytes, ...]:
    """Return archives for a document that names the array ``loads``, ``(2, 4)``."""
    return npz(loads=np.ones((2, 4))), npz(loads=np.arange(8).reshape(2, 4), other=[1])


def csv_counts() -> tuple[bytes, ...]:
    """Return counts as text."""
    return (
        b"layer,expert,count\n3,0,10\n3,1,5\n4,0,2.5\n4,1,1e3\n",
        b"window,layer,expert,count\n0,0,0,1\n0,0,3,2\n1,0,1,7\n",
    )


def megatron() -> tuple[bytes, ...]:
    """Return routing traces of one rank."""
    lines = [
        {
            **{"step": step, "stage": "pre_dispatch", "block": "decoder", "layer": layer},
            **{"rank": 0, "num_tokens": 2, "topk": 2, "top_indices": [[0, 1], [2, 3]]},
        }
        for step in range(2)
        for layer in range(2)
    ]
    return (b"".join(_json(line) + b"\n" for line in lines),)


def sglang() -> tuple[bytes, ...]:
    """Return dumps of SGLang's recorder; none without torch."""
    try:
        import torch
    except ImportError:
        return ()
    record = {
        **{"forward_pass_id": 1, "rank": 0, "gatherer_key": "primary", "input_ids": [7, 8]},
        "extend_seq_lens": [2],
        "topk_ids_of_layer": torch.tensor([[[0, 1], [2, 3]]], dtype=torch.int32),
        "global_physical_count": torch.tensor([[1, 1, 1, 1]], dtype=torch.int32),
    }
    table = {"last_physical_to_logical_map": torch.tensor([[0, 1, 2, 0]])}
    contents = [
        {"logical_count": torch.ones((2, 1, 4), dtype=torch.int32)},
        {"records": [record], **table},
        {"records": [{k: v for k, v in record.items() if "topk" not in k}], **table},
    ]
    found = []
    for content in contents:
        out = io.BytesIO()
        torch.save(content, out)
        found.append(out.getvalue())
    return tuple(found)


def tensorrt_counts() -> tuple[bytes, ...]:
    """Return one rank's statistics; none without safetensors."""
    try:
        from safetensors import numpy
    except ImportError:
        return ()
    counts = {"0_3": np.array([1, 2, 3]), "0_4": np.array([0, 1, 0])}
    return (bytes(numpy.save(counts)),)


def engine(name: str) -> tuple[bytes, ...]:
    """Return a placement of four experts in two layers on two ranks as an engine writes it."""
    from moeopt.adapters.engines.formats import FORMATS
    from moeopt.adapters.engines.placements import EnginePlacement, ModelLayers

    table = np.array([[0, 1, 2, 3], [3, 2, 1, 0]])
    return (FORMATS[name].encode(EnginePlacement(table, 2, 4, ModelLayers((1, 2), 3))),)


def recordings() -> tuple[bytes, ...]:
    """Return a recording of two calls of the instance in `PLANNED`."""
    seconds = {
        **{"load_s": 0.1, "load_bytes": 1000, "wait_s": 0.0, "gets": 2, "puts": 1},
        **{"read_s": [0.1], "read_bytes": [3072], "compute_s": [0.2], "write_s": [0.1]},
        "write_bytes": [3072],
    }
    calls = [
        {
            **{"function": f"f-{expert}", "layer": 0, "expert": expert, "replica": 0, "design": 2},
            **{"memory_mb": 512, "piece": f"p{expert}", "attempt": 1, "minibatches": [3]},
            **{"began_s": 0.0, "ended_s": 1.0, "duration_s": 0.9, "billed_s": 1.0, "init_s": 0.2},
            **{"used_mb": 100, "request_bytes": 100, "response_bytes": 100, "seconds": seconds},
        }
        for expert in range(2)
    ]
    layer = {
        **{"batch": "b", "layer": 0, "design": 2, "tokens": [3, 3, 0, 0], "seconds": 2.0},
        "calls": calls,
    }
    return (_json({"recording": "aws-lambda", "version": 1, "layer": layer}) + b"\n",)


def trial_logs() -> tuple[bytes, ...]:
    """Return the log of a Bayesian optimisation of two evaluations."""
    lines: list[dict[str, Any]] = [{"log": "serverless-bayes", "version": 1, "seed": 0}]
    for cost in (1.0, 0.5):
        measured = {"cost_usd": cost, "over_memory": False, "over_payload": False}
        more = {"mispredicted": True, "token_ids": [3], "layer_usd": [cost], "tokens": [[1.0, 2.0]]}
        lines.append({"pairs": [[0, 1, 2, 0, 3]], **measured, **more})
    return (b"".join(_json(line) + b"\n" for line in lines),)


def linear_models() -> tuple[bytes, ...]:
    """Return the golden models of the formulations, or a small one where these are not there."""
    golden = Path(__file__).parents[3] / "formulations" / "golden"
    found = [path for path in sorted(golden.rglob("*.mps")) if path.stat().st_size <= _MOST_BYTES]
    small = b"NAME m\nROWS\n N o\n G C1[0]\nCOLUMNS\n x o 1 C1[0] 2\nRHS\n RHS C1[0] 3\nENDATA\n"
    return (small, *(path.read_bytes() for path in found[:8]))


def all_wings() -> tuple[str, ...]:
    """Return the wings that have seeds."""
    return tuple(wing for wing in wing_names() if wing in PLANNED)


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()
