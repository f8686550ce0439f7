"""What the plugin changes of vLLM, on a package with the same places."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from moeopt.adapters.engines import vllm_plugin
from moeopt.adapters.engines.vllm_plugin import NAME, TARGET, register
from moeopt.core.errors import InstanceError

#: vLLM's modules, as far as the plugin and vLLM's EPLB name each other's parts.
FILES = {
    "policy/__init__.py": """
from .abstract import AbstractEplbPolicy
from .default import DefaultEplbPolicy

EPLB_POLICIES = {"default": DefaultEplbPolicy}
""",
    "policy/abstract.py": """
from abc import ABC, abstractmethod

class AbstractEplbPolicy(ABC):
    @classmethod
    @abstractmethod
    def rebalance_experts(
        cls, weight, num_replicas, num_groups, num_nodes, num_ranks, old_global_expert_indices=None
    ): ...
""",
    "policy/default.py": """
from .abstract import AbstractEplbPolicy

class DefaultEplbPolicy(AbstractEplbPolicy):
    @classmethod
    def rebalance_experts(cls, *arguments):
        return "vLLM's own answer"
""",
    "migration_scheduler.py": """
from dataclasses import dataclass

@dataclass(frozen=True, slots=True)
class MigrationFlow:
    src_rank: int
    dst_rank: int
    expert_ids: tuple

def schedule_migration_batches_for_layers(num_local_experts, old_indices, new_indices):
    return "vLLM's own order"
""",
    "async_worker.py": """
from .migration_scheduler import schedule_migration_batches_for_layers

def batches(*arguments):
    return schedule_migration_batches_for_layers(*arguments)
""",
}

EPLB = "vllm.distributed.eplb"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a package like vLLM importable, and named to the plugin as users name it."""
    folder = tmp_path / "vllm" / "distributed" / "eplb"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("VLLM_PLUGINS", f"another,{NAME}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        monkeypatch.delitem(sys.modules, name)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        del sys.modules[name]


def default_policy() -> type:
    policy: type = importlib.import_module(f"{EPLB}.policy").EPLB_POLICIES["default"]
    return policy


@pytest.mark.usefixtures("home")
def test_the_default_policy_is_replaced_by_a_policy_of_vllms_kind() -> None:
    own = default_policy()
    register()
    policy = default_policy()
    assert policy is not own
    assert issubclass(policy, importlib.import_module(f"{EPLB}.policy").AbstractEplbPolicy)
    loads, old = np.array([[9.0, 1.0, 1.0, 1.0]]), np.array([[0, 1, 2, 3, 0, 1]])
    new = policy.rebalance_experts(loads, 6, 1, 1, 2, old_global_expert_indices=old)  # type: ignore[attr-defined]
    assert sorted(set(new[0].tolist())) == [0, 1, 2, 3]
    # Five slots on two ranks are for vLLM to answer, or to refuse.
    assert policy.rebalance_experts(loads, 5, 1, 1, 2) == "vLLM's own answer"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("imported_before", [False, True])
def test_the_worker_gets_our_batches_in_vllms_flows(imported_before: bool) -> None:
    if imported_before:
        importlib.import_module(f"{EPLB}.async_worker")
    register()
    worker = importlib.import_module(f"{EPLB}.async_worker")
    flow = importlib.import_module(f"{EPLB}.migration_scheduler").MigrationFlow
    layers = worker.batches(2, np.array([[0, 1, 2, 3]]), np.array([[0, 2, 1, 3]]))
    assert layers == [[[flow(0, 1, (1,))], [flow(1, 0, (2,))]]]
    assert type(layers[0][0][0]) is flow
    # Not a map of whole ranks: vLLM's own scheduler is asked.
    assert worker.batches(3, np.array([[0, 1]]), np.array([[1, 0]])) == "vLLM's own order"


@pytest.mark.usefixtures("home")
def test_a_second_call_changes_nothing() -> None:
    register()
    policy = default_policy()
    scheduler = importlib.import_module(f"{EPLB}.migration_scheduler")
    schedule = scheduler.schedule_migration_batches_for_layers
    register()
    assert default_policy() is policy
    assert scheduler.schedule_migration_batches_for_layers is schedule


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("plugins", [None, "", "another", "moeopts"])
def test_it_acts_only_where_it_is_named(
    plugins: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if plugins is None:
        monkeypatch.delenv("VLLM_PLUGINS")
    else:
        monkeypatch.setenv("VLLM_PLUGINS", plugins)
    own = default_policy()
    with caplog.at_level(logging.INFO, "vllm.moeopt"):
        register()
    assert default_policy() is own
    assert "not named in VLLM_PLUGINS" in caplog.text


@pytest.mark.usefixtures("home")
def test_a_wrong_variable_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    own = default_policy()
    monkeypatch.setenv("MOEOPT_VLLM_LEAST_GAIN", "much")
    with pytest.raises(InstanceError, match="MOEOPT_VLLM_LEAST_GAIN: must be a number"):
        register()
    assert default_policy() is own


@pytest.mark.parametrize("lost", ["policy/__init__.py", "migration_scheduler.py"])
def test_a_vllm_without_these_places_is_left_alone(
    home: Path, lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    (home / lost).write_text("", encoding="utf-8")
    with caplog.at_level(logging.WARNING, "vllm.moeopt"):
        register()
    assert "keeps its own EPLB policy" in caplog.text
    if lost != "policy/__init__.py":
        assert default_policy().__name__ == "DefaultEplbPolicy"


def test_the_project_states_the_entry_point() -> None:
    project = tomllib.loads(Path(__file__).parents[3].joinpath("pyproject.toml").read_text())
    stated = project["project"]["entry-points"]["vllm.general_plugins"]
    assert stated == {NAME: TARGET}
    found = EntryPoint(NAME, stated[NAME], "vllm.general_plugins").load()
    assert found is vllm_plugin.register


def test_importing_the_plugin_is_light() -> None:
    code = (
        "import sys, moeopt.adapters.engines.vllm_plugin as plugin; plugin.register();"
        "print([name for name in ('torch', 'vllm', 'numba', 'scipy') if name in sys.modules])"
    )
    path = [entry for entry in sys.path if entry]
    answer = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
        env={},
    )
    assert answer.stdout.strip() == "[]"
