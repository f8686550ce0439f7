"""Engines' own modules, opened from the files of their wheels in a process of its own.

Whole packages need everything that serves a model. Here each module that is imported is the
engine's own file, but for the stand-ins named below: leaves that need other packages, or a GPU.
"""

from __future__ import annotations

import importlib
import sys
import time
import types
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

#: Packages whose own ``__init__`` is not run; what is imported from them is.
_VLLM_PACKAGES = (
    "vllm",
    "vllm.distributed",
    "vllm.distributed.device_communicators",
    "vllm.model_executor",
    "vllm.model_executor.models",
)
_SGLANG_PACKAGES = ("sglang", "sglang.srt", "sglang.srt.eplb", "sglang.srt.elastic_ep")


class _Platform:
    """A platform of CPUs: no to every question that starts with ``is``."""

    dispatch_key = "CPU"

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: False


class _Event:
    """An event on a CPU, where PyTorch has none."""

    def __init__(self, device: Any = None, *, enable_timing: bool = False) -> None:
        self._at = 0.0

    def record(self, stream: Any = None) -> None:
        self._at = time.perf_counter()

    def wait(self, stream: Any = None) -> None: ...

    def synchronize(self) -> None: ...

    def elapsed_time(self, end: _Event) -> float:
        return 1e3 * (end._at - self._at)


def open_vllm(root: Path) -> None:
    """Let this process import vLLM's EPLB, process groups and plugins from under `root`.

    Stand-ins: the configuration (which needs pydantic), models' interfaces, platforms, devices
    other than CPUs, and utilities that need psutil, regex or zmq. PyTorch's events and streams,
    which a CPU has not, do nothing.
    """
    import torch

    _bare(_VLLM_PACKAGES, root)
    _stand_in(
        "vllm.config",
        ModelConfig=object,
        ParallelConfig=object,
        get_current_vllm_config_or_none=lambda: None,
    )
    _stand_in("vllm.config.parallel", EPLBPolicyOption=Literal["default"])
    _stand_in("vllm.config.utils", compute_hash_cached=lambda config: config.compute_hash())
    _stand_in("vllm.model_executor.models.interfaces", MixtureOfExperts=object)
    _stand_in("vllm.platforms", current_platform=_Platform())
    _stand_in("vllm.utils.import_utils", resolve_obj_by_qualname=None)
    _stand_in("vllm.utils.network_utils", get_tcp_uri=None, get_distributed_init_method=None)
    _stand_in("vllm.utils.platform_utils", is_pin_memory_available=lambda: False)
    _stand_in("vllm.utils.system_utils", suppress_stdout=nullcontext)
    device = "vllm.distributed.device_communicators"
    _stand_in(f"{device}.cuda_communicator", CudaCommunicator=None)
    _stand_in(f"{device}.shm_broadcast", MessageQueue=None)
    replaced: dict[tuple[Any, str], Any] = {
        (torch, "Event"): _Event,
        (torch.accelerator, "current_accelerator"): lambda: torch.device("cpu"),
        (torch.accelerator, "current_stream"): lambda: torch.Stream(device="cpu"),
        (torch.accelerator, "set_device_index"): lambda index: None,
        (torch.accelerator, "set_stream"): lambda stream: None,
    }
    for (module, name), value in replaced.items():
        setattr(module, name, value)


def open_sglang(root: Path) -> SimpleNamespace:
    """Let this process import SGLang's expert locations and EPLB from under `root`.

    Stand-ins: what the server's arguments say, and the model's class.

    Returns
    -------
    What these say, to be set before each call: ``execution`` and ``parallel`` (SGLang's
    ``get_exec`` and ``get_parallel`` return them) and ``model``, the fields of its
    ``ModelConfigForExpertLocation``.
    """
    if "sglang" in sys.modules:
        return _SERVER
    _bare(_SGLANG_PACKAGES, root)
    _stand_in(
        "sglang.srt.runtime_context",
        get_device=lambda: SimpleNamespace(device="cpu"),
        get_exec=lambda: _SERVER.execution,
        get_parallel=lambda: _SERVER.parallel,
        get_resources=SimpleNamespace,
    )
    elastic = "sglang.srt.elastic_ep.elastic_ep"
    _stand_in(elastic, elastic_expanded_world_enabled=lambda: False)
    _stand_in("sglang.srt.model_loader", get_model_architecture=lambda config: (_Model, ""))
    return _SERVER


#: What SGLang's stand-ins say.
_SERVER = SimpleNamespace()


class _Model:
    """A model's class, as far as SGLang asks it where experts are."""

    @staticmethod
    def get_model_config_for_expert_location(config: Any) -> Any:
        location = importlib.import_module("sglang.srt.eplb.expert_location")
        return location.ModelConfigForExpertLocation(**_SERVER.model)


def _bare(packages: tuple[str, ...], root: Path) -> None:
    for name in packages:
        module = types.ModuleType(name)
        module.__path__ = [str(root.joinpath(*name.split(".")))]
        sys.modules[name] = module


def _stand_in(name: str, **names: Any) -> None:
    module = types.ModuleType(name)
    module.__dict__.update(names)
    module.__path__ = []
    sys.modules[name] = module
