"""Files that were read wrongly once, or that no reader must ever trust: each with its reader."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from moeopt.bench.reliability import fuzz_seeds as seeds
from moeopt.bench.reliability.fuzz_archives import bomb
from moeopt.bench.reliability.fuzz_mutations import npy_of, zip_of

_MEGATRON = {"step": 0, "stage": "pre_dispatch", "block": "decoder", "layer": 0, "rank": 0}


def corpus() -> list[tuple[str, bytes]]:
    """Return readers' names and files."""
    return [*_documents(), *_traces(), *_engines(), *_others()]


def _documents() -> list[tuple[str, bytes]]:
    found = []
    for wing in seeds.all_wings():
        plan = json.loads(seeds.plans(wing)[0])
        field = next(name for name in plan if name not in ("plan", "version"))
        found += [
            (f"{wing} plans", json.dumps({**plan, field: [1e300]}).encode()),
            (f"{wing} plans", json.dumps({**plan, "x" * 5000: 1}).encode()),
            (f"{wing} plans", json.dumps({**plan, "\x1b[2J\n": 1}).encode()),
            *((f"{wing} plans", _nested(plan, field, depth)) for depth in range(900, 1000, 8)),
        ]
    header = b"(" * 3000 + b"\n"
    broken = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    lzma = bytearray(zip_of([("loads.npy", seeds.npy(np.ones((2, 4))))]))
    lzma[lzma.rfind(b"PK\1\2") + 10] = lzma[8] = 14
    found += [("arrays beside a document", bytes(lzma))]
    overflowing = {"importance": [[[1, 1]]], "activation_bytes": 1e308, "budget_bytes": 3}
    sizes = {"layers": 1, "experts": 2, "expert_bytes": 2, "load_price": 0, "slot_s": 0}
    committee = {"problem": "committee", "version": 1, **sizes, **overflowing}
    found += [("committee instances", json.dumps(committee).encode())]
    return [
        *found,
        ("arrays beside a document", zip_of([("loads.npy", broken)])),
        ("arrays beside a document", zip_of([("a" * 3_000 + ".npy", b"")])),
        ("arrays beside a document", _bomb("loads.npy", (4_200_000, 4))),
    ]


def _traces() -> list[tuple[str, bytes]]:
    old = b"{'descr': '<i8', 'fortran_order': False, 'shape': (3L, 2L, 2L)}\n"
    python2 = b"\x93NUMPY\x01\x00" + len(old).to_bytes(2, "little") + old + bytes(96)
    far = b"".join(b"%d,999999,1\n" % layer for layer in range(40))
    return [
        ("routed experts (.npy)", python2),
        ("routed experts (.npz)", _bomb("a.npy", (4_200_000, 2, 2))),
        ("traces (.npz)", _bomb("expert_ids.npy", (4_200_000, 2, 2))),
        *(("Megatron's traces", _megatron(topk)) for topk in (10**18, 4 * 10**18, 10**20, -1)),
        ("counts (.csv)", b"layer,expert,count\n0,999999999,1\n"),
        ("counts (.csv)", b"layer,expert,count\n" + far),
    ]


def _engines() -> list[tuple[str, bytes]]:
    tall = b"num_slots: 999999999\ninitial_global_assignments:\n  0: [0]\n"
    return [
        ("placements of SGLang", b'{"physical_to_logical_map\xe7": [[0]]}'),
        ("placements of SGLang", b'{"physical_to_logical_map": [[9223372036854775808, -1]]}'),
        ("placements of vLLM", b"[[9223372036854775808, -1]]"),
        ("placements of vLLM", b"[[1000000000000000, 0]]"),
        ("placements of OmniInfer", npy_of((0, 10**18, 2), "<i4", b"")),
        ("placements of TensorRT-LLM", tall),
    ]


def _others() -> list[tuple[str, bytes]]:
    log = seeds.trial_logs()[0].split(b"\n")
    beyond = log[1].replace(b"[3]", b"[1%s]" % (b"0" * 30))
    head = b"NAME m\nROWS\n N o\n"
    return [
        ("recordings of Lambda", b"[" * 5000 + b"\n"),
        ("recordings of Lambda", b'{"recording": "aws-lambda\xff"}\n'),
        ("logs of evaluations", log[0] + b"\n7\n"),
        ("logs of evaluations", b"[" * 5000 + b"\n"),
        ("logs of evaluations", log[0] + b"\n" + b"[" * 5000 + b"\n"),
        ("logs of evaluations", log[0] + b"\n" + beyond + b"\n"),
        ("linear models (.mps)", head + b" G C1[1%s]\n" % (b"0" * 30) + b"COLUMNS\nRHS\nENDATA\n"),
        ("linear models (.mps)", head + b" G ~ffffffff;\nCOLUMNS\nRHS\nENDATA\n"),
        ("linear models (.mps)", head + b"\xe7"),
    ]


def _nested(plan: dict[str, Any], field: str, depth: int) -> bytes:
    text = json.dumps({**plan, field: None})
    return text.replace("null", "[" * depth + "1" + "]" * depth, 1).encode()


def _megatron(topk: int) -> bytes:
    return json.dumps({**_MEGATRON, "num_tokens": 0, "topk": topk, "top_indices": []}).encode()


def _bomb(name: str, shape: tuple[int, ...]) -> bytes:
    return bomb(name, npy_of(shape, "|i1", b""), math.prod(shape))
