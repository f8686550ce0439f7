"""Parameters of experts: as bytes, as computation, from a file."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_cases import expert_of, mini, roomy, some_tokens

pytest.importorskip("torch")

from moeopt.adapters.aws_lambda.weights import Expert, random_weights, read_weights
from moeopt.adapters.aws_lambda.worker import experts_numpy, experts_torch
from moeopt.adapters.aws_lambda.worker.parameters import read_parameters, write_parameters
from moeopt.core.errors import InstanceError


class Trickle(io.BytesIO):
    """A stream that gives a few bytes at a time, as a network does."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(7 if size is None or size < 0 else min(size, 7))


def by_definition(tokens: np.ndarray, expert: Expert) -> np.ndarray:
    """Compute an expert in float64, token by token."""
    x, up, down = (a.astype(np.float64) for a in (tokens, expert.up, expert.down))
    hidden = x @ up
    if expert.gate is not None:
        gate = x @ expert.gate.astype(np.float64)
        return (gate / (1 + np.exp(-gate)) * hidden) @ down
    inner = np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)
    return (0.5 * hidden * (1 + np.tanh(inner))) @ down


@pytest.mark.parametrize("gated", [False, True])
def test_both_engines_compute_the_definition(gated: bool) -> None:
    expert, tokens = expert_of(1, gated=gated), some_tokens(9)
    wanted = by_definition(tokens, expert)
    for engine in (experts_numpy, experts_torch):
        found = engine.compute(tokens, read_parameters(io.BytesIO(expert.to_npz())))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(expert.compute(tokens), wanted, rtol=1e-5, atol=1e-5)


def test_slices_of_tokens_are_computed_as_the_whole_is() -> None:
    # So wide that no more than two tokens are computed at once.
    expert, tokens = expert_of(hidden=1 << 19, inner=2, outer=2), some_tokens(5, width=2)
    found = expert.compute(tokens)
    for row in range(5):
        alone = expert.compute(tokens[row : row + 1])
        np.testing.assert_allclose(found[row : row + 1], alone, rtol=1e-3, atol=1e-2)
    assert expert.compute(tokens[:0]).shape == (0, 2)


@pytest.mark.parametrize("gated", [False, True])
def test_huge_numbers_make_no_warning(gated: bool) -> None:
    one = np.ones((1, 1), dtype=np.float32)
    expert = Expert(one, one, one if gated else None)
    tokens = np.array([[1e15], [-1e15], [-200.0], [0.0]], dtype=np.float32)
    found = expert.compute(tokens)[:, 0]
    np.testing.assert_allclose(found, [1e30 if gated else 1e15, 0, 0, 0], rtol=1e-6)


@given(
    gated=st.booleans(),
    sizes=st.tuples(*[st.integers(1, 5)] * 3),
    stream=st.sampled_from([io.BytesIO, Trickle]),
)
def test_bytes_are_read_as_they_were_written(
    gated: bool, sizes: tuple[int, int, int], stream: Any
) -> None:
    inner, hidden, outer = sizes
    expert = expert_of(inner=inner, hidden=hidden, outer=outer, gated=gated)
    data = expert.to_npz()
    assert data == expert.to_npz()
    again = read_parameters(stream(data))
    assert list(again) == list(expert.arrays())
    with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
        for name, array in expert.arrays().items():
            np.testing.assert_array_equal(again[name], array)
            np.testing.assert_array_equal(loaded[name], array)
    assert Expert.from_npz(data).to_npz() == data


def test_numpy_s_own_archives_are_read_too() -> None:
    expert, file = expert_of(), io.BytesIO()
    np.savez(file, **expert.arrays())
    np.testing.assert_array_equal(Expert.from_npz(file.getvalue()).down, expert.down)


def test_what_is_no_expert_is_refused() -> None:
    arrays = expert_of().arrays()
    up, down = arrays["up"], arrays["down"]
    data = expert_of().to_npz()
    for cut in (10, 40, 200, len(data) // 2):
        with pytest.raises(ValueError, match=r"EOF|no array|cut off"):
            read_parameters(io.BytesIO(data[:cut]))
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    with pytest.raises(ValueError, match="up is packed or encrypted"):
        read_parameters(io.BytesIO(packed.getvalue()))
    pickled = io.BytesIO()
    np.savez(pickled, up=np.array([print], dtype=object), down=down)
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        read_parameters(io.BytesIO(pickled.getvalue()))
    with pytest.raises(ValueError, match="no array down among up"):
        read_parameters(io.BytesIO(write_parameters({"up": up})))
    with pytest.raises(ValueError, match="unknown array bias"):
        read_parameters(io.BytesIO(write_parameters({"up": up, "down": down, "bias": up})))
    with pytest.raises(ValueError, match="do not fit each other"):
        read_parameters(io.BytesIO(write_parameters({"up": up, "down": up})))
    with pytest.raises(ValueError, match="up must be float32"):
        read_parameters(io.BytesIO(write_parameters({"up": up[0], "down": down})))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"up": [1.0]}, "up: must be a table of numbers"),
        ({"up": np.ones(3)}, "up: must be a table of numbers"),
        ({"up": np.ones((0, 3))}, "up: must not be empty"),
        ({"up": np.full((2, 3), 1e300)}, "up: must be finite in float32"),
        ({"down": np.ones((4, 2))}, r"down: must have shape \(3, any\)"),
        ({"gate": np.ones((2, 4))}, r"gate: must have shape \(2, 3\)"),
    ],
)
def test_an_expert_s_tables_are_checked(changes: dict[str, Any], said: str) -> None:
    tables: dict[str, Any] = {"up": np.ones((2, 3)), "down": np.ones((3, 2))}
    with pytest.raises(InstanceError, match=said):
        Expert(**(tables | changes))


def test_an_expert_owns_its_tables() -> None:
    table = np.ones((2, 2))
    expert = Expert(table, table)
    table[:] = 0
    assert expert.up.min() == 1
    assert not expert.up.flags.writeable
    assert expert.up.dtype == np.float32


def test_random_experts_have_the_problem_s_sizes() -> None:
    weights = random_weights(roomy(), seed=3)
    assert weights.layers == 2
    assert weights.experts(0) == 4
    expert = weights.expert(1, 2)
    assert expert.up.shape == (256, 1024)
    assert expert.down.shape == (1024, 256)
    data = expert.to_npz()
    assert 2 << 20 < len(data) < (2 << 20) + 1024
    assert data == random_weights(roomy(), seed=3).expert(1, 2).to_npz()
    others = [random_weights(roomy(), seed=4).expert(1, 2), weights.expert(0, 2)]
    assert data not in [other.to_npz() for other in others]
    # Outputs are about as large as inputs.
    outputs = expert.compute(some_tokens(64, width=256))
    assert 0.3 < outputs.std() < 3


def archive(path: Path, **changes: np.ndarray) -> Path:
    """Write the experts of `mini`, but for some arrays."""
    arrays: dict[str, np.ndarray] = {}
    for expert in range(2):
        for name, array in expert_of(expert, gated=expert == 1).arrays().items():
            arrays[f"layer0.expert{expert}.{name}"] = array
    np.savez(path, **(arrays | {name.replace("_", "."): a for name, a in changes.items()}))
    return path


def test_experts_are_read_from_a_file(tmp_path: Path) -> None:
    weights = read_weights(archive(tmp_path / "w.npz"), mini())
    for expert in range(2):
        wanted = expert_of(expert, gated=expert == 1).to_npz()
        assert weights.expert(0, expert).to_npz() == wanted


def test_a_file_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "w.npz")
    with pytest.raises(InstanceError, match=r"w\.npz: must hold the array layer1.expert0.up"):
        read_weights(path, mini(((6, 3), (1, 1))))
    for changes, said in (
        ({"layer0_expert0_up": np.ones((6, 16))}, r"expert0\.up: must have shape \(8, any\)"),
        ({"layer0_expert0_down": np.ones((16, 5))}, r"expert0\.down: must have shape \(any, 4\)"),
        ({"layer0_expert0_down": np.ones((15, 4))}, r"expert0\.down: must have shape \(16, any\)"),
        ({"layer0_expert0_up": np.full((8, 16), np.nan)}, r"expert0\.up: must be finite"),
        ({"layer0_expert0_up": np.array([[print]])}, "must be a whole .npz archive of numbers"),
    ):
        with pytest.raises(InstanceError, match=said):
            read_weights(archive(tmp_path / "other.npz", **changes), mini())
    with pytest.raises(InstanceError, match=r"none\.npz"):
        read_weights(tmp_path / "none.npz", mini())
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InstanceError, match=r"text\.npz: must be a whole .npz"):
        read_weights(tmp_path / "text.npz", mini())


def test_members_carry_no_date() -> None:
    with zipfile.ZipFile(io.BytesIO(expert_of().to_npz())) as members:
        assert {member.date_time[0] for member in members.infolist()} == {1980}
