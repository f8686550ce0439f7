"""Hostile archives, arrays, pickles and tensors."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping

from moeopt.bench.reliability.fuzz_mutations import npy_of, zip_of
from moeopt.bench.reliability.fuzz_targets import Target

#: A file that a pickle would make if it ran, in the folder of its reader.
RAN = "a-pickle-ran"

#: Unpacked bytes of bombs: far beyond all limits, and within them.
_BOMBS = {"600 MB": 600 * 10**6, "40 MB": 40 * 10**6, "16 MB": 16 * 10**6}


class Runs:
    """Pickled, it asks for a command to be run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, (f"touch {RAN}",)


def archives(target: Target) -> Iterator[tuple[str, bytes]]:
    """Yield what is hostile to a reader of archives, arrays or tensors, what is large last."""
    if target.kind == "npy":
        yield from _arrays(target.seeds()[0])
    if target.kind == "zip":
        with zipfile.ZipFile(io.BytesIO(target.seeds()[0])) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        if target.file.endswith(".pt"):
            yield from _dumps(members)
        else:
            (name, held), *others = members
            for what, data in _arrays(held):
                yield what, zip_of([(name, data), *others])
        yield from _zips(members)
    if target.file.endswith(".safetensors"):
        yield from _tensors()


def _arrays(held: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what stands instead of one array."""
    body = held[128:]
    shapes = {
        "a shape of 10**12": (10**12,),
        "a shape whose product overflows": (2**32, 2**32, 2**32),
        "a shape that overflows to its size": (2**63, 2, 1),
        "an empty axis beside a huge one": (0, 10**15, 4),
        "a huge axis before an empty one": (10**18, 0, 4),
        "a negative axis": (-1, 2, 2),
        "two negative axes": (-3, -2, 2),
        "a thousand axes": (1,) * 1000,
    }
    for what, shape in shapes.items():
        yield what, npy_of(shape, "<i8", body)
    for descr in ("|O", "<U1000000000", "|V1000000000", "<M8[as]", "<c16", "<f16", "|b1", "<i0"):
        yield f"the type {descr}", npy_of((3, 2, 2), descr, body)
    yield "a pickled command", npy_of((1,), "|O", b"") + pickle.dumps([Runs()])
    for what, header in {
        "nested brackets": "(" * 9000,
        "a long sum": "1+" * 4000 + "1",
        "a power": "{'descr': '<f8', 'fortran_order': False, 'shape': (9**9**9,)}",
        "a call": "__import__('os').abort()",
        "Python 2's numbers": "{'descr': '<i8', 'fortran_order': False, 'shape': (3L, 2L, 2L)}",
        "a list for a shape": "{'descr': '<i8', 'fortran_order': False, 'shape': [3, 2, 2]}",
        "truth for a shape": "{'descr': '<i8', 'fortran_order': False, 'shape': (True, 2, 2)}",
    }.items():
        text = header.encode() + b"\n"
        for version in (1, 2, 3):
            length = struct.pack("<H" if version == 1 else "<I", len(text))
            start = b"\x93NUMPY" + bytes([version, 0])
            yield f"{what} in a header {version}.0", start + length + text + body
    yield "a header of 4 GB", b"\x93NUMPY\x02\x00" + b"\xff" * 4 + body


def _zips(members: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    (name, held), *others = members
    yield "an archive in an archive", zip_of([(name, zip_of(members)), *others])
    yield "a member twice", zip_of([*members, (name, b"")])
    for odd in ("../../" + name, "/" + name, "\\" + name, "", "." * 60_000 + name):
        yield f"the name {odd[:12]}", zip_of([(odd, held), *members])
        yield f"the name {odd[:12]} alone", zip_of([(odd, held)])
    yield "unlike members", zip_of([(name, held), ("b.npy", b"no array"), ("c", b"")])
    packed = zip_of(members)
    entry = packed.rfind(b"PK\1\2")
    for what, at, lie in (
        ("a size of 4 GB", 24, b"\xff\xff\xff\xff"),
        ("a size of none", 24, bytes(4)),
        ("4 GB packed", 20, b"\xff\xff\xff\xff"),
        ("a password", 8, b"\1\0"),
        ("an unknown method", 10, b"\x63\0"),
        ("LZMA", 10, b"\x0e\0"),
        ("a place before its beginning", 42, b"\xff\xff\xff\xff"),
    ):
        at += entry
        yield f"a directory that says {what}", packed[:at] + lie + packed[at + len(lie) :]
    yield "20,000 members", zip_of([*members, *((f"{n}.npy", b"") for n in range(20_000))], 0)
    for what, size in _BOMBS.items():
        array = npy_of((size // 4, 2, 2), "|i1", b"")
        yield f"a bomb of {what}", bomb(name, array, size)


def bomb(name: str, header: bytes, zeros: int) -> bytes:
    """Return an archive of one member that ends in many zeros."""
    out, chunk = io.BytesIO(), bytes(2**20)
    archive = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open(name, "w") as file:
        file.write(header)
        for begin in range(0, zeros, len(chunk)):
            file.write(chunk[: zeros - begin])
    return out.getvalue()


def _dumps(members: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Yield archives of torch with pickles that it did not write, and tensors that are larger."""
    import torch

    laughs: list[object] = []
    for _ in range(40):
        laughs = [laughs] * 40
    around: list[object] = []
    around.append(around)
    pickles = {
        "a pickled command": pickle.dumps(Runs(), 2),
        "a pickled command in a dictionary": pickle.dumps({"records": Runs()}, 2),
        "lists of the same lists": pickle.dumps({"records": laughs, "logical_count": laughs}, 2),
        "a list of itself": pickle.dumps({"records": around}, 2),
        "100,000 lists": b"\x80\x02}X\7\0\0\0records](" + b"]" * 10**5 + b"es.",
        "nested tuples": b"\x80\x02" + b"(" * 10**5 + b"t" * 10**5 + b".",
        "a text of 2**62 bytes": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b".",
        "a number of 2**31 digits": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b".",
        "the memo's entry 10**9": b"\x80\x02]r\x00\xca\x9a\x3b.",
        "nothing on its stack": b"\x80\x020000.",
    }
    for what, data in pickles.items():
        kept = [(n, data if n.endswith("data.pkl") else held) for n, held in members]
        yield what, zip_of(kept, zipfile.ZIP_STORED)
    one = torch.ones(1, dtype=torch.int32)
    for what, tensor in {
        "a tensor of 10**12 that is one number": one.expand(10**6, 10**6, 1),
        "a sparse tensor": one.to_sparse(),
        "a tensor without memory": torch.empty((10**6, 10**6, 1), device="meta"),
        "a tensor of fractions": torch.tensor([[[0.5, float("nan")]]]),
        "a tensor of truth": torch.ones((1, 1, 2), dtype=torch.bool),
        "an empty tensor": torch.zeros((10**9, 0, 10**9), dtype=torch.int32),
        "a conjugated tensor": torch.ones((1, 1, 2), dtype=torch.complex64).conj(),
        "a tensor of bfloat16": torch.ones((1, 1, 2), dtype=torch.bfloat16),
    }.items():
        yield what, _saved({"logical_count": tensor})
    yield from _experts_far_apart()


def _experts_far_apart() -> Iterator[tuple[str, bytes]]:
    """Yield records whose map names an expert of a million: dense, each is as large as a bomb."""
    import torch

    record = {
        **{"rank": 0, "gatherer_key": "", "input_ids": [7], "extend_seq_lens": [1]},
        "global_physical_count": torch.ones((30, 1), dtype=torch.int32),
    }
    table = {"last_physical_to_logical_map": torch.full((30, 1), 999_999)}
    for what, passes, ranks in (("passes", 300, 1), ("ranks", 1, 300)):
        records = [
            {**record, "forward_pass_id": n, "rank": r} for n in range(passes) for r in range(ranks)
        ]
        yield f"30 million experts in 300 {what}", _saved({"records": records, **table})


def _saved(content: object) -> bytes:
    import torch

    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def _tensors() -> Iterator[tuple[str, bytes]]:
    def file(header: Mapping[str, object], body: bytes = bytes(24)) -> bytes:
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + body

    def entry(shape: list[int], offsets: list[int], dtype: str = "I64") -> dict[str, object]:
        return {"dtype": dtype, "shape": shape, "data_offsets": offsets}

    yield "a header of 2**63 bytes", struct.pack("<Q", 2**63) + b"{}"
    yield "a header of 99 MB", struct.pack("<Q", 99 * 10**6) + b"{}"
    for what, shape, offsets in (
        ("a shape of 10**12", [10**12], [0, 24]),
        ("a shape that overflows", [2**32, 2**32, 3], [0, 24]),
        ("places beyond the file", [3], [0, 10**12]),
        ("places that run backwards", [3], [24, 0]),
        ("a negative shape", [-3], [0, 24]),
        ("no axis", [], [0, 24]),
    ):
        yield what, file({"0_3": entry(shape, offsets)})
    yield "the same bytes twice", file({"0_3": entry([3], [0, 24]), "0_4": entry([3], [0, 24])})
    for dtype in ("F64", "BOOL", "BF16", "F8_E4M3", "U64", "I128", "C64"):
        yield f"the type {dtype}", file({"0_3": entry([3], [0, 24], dtype)})
    for name in ("0", "a_b", "9" * 400 + "_0", "999999999999999_999999999999999", "\0_1", "-1_0"):
        yield f"the name {name[:12]}", file({name: entry([3], [0, 24])})
    many = {f"{n}_{n}": entry([0], [0, 0]) for n in range(20_000)}
    yield "20,000 tensors", file(many, b"")
