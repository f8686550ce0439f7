"""How to apply a placement plan: the commands of moeopt, and those of the engines that take it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from moeopt.describe.presets import preset, preset_names
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem
from moeopt.report.wings import Names, Step


def steps(problem: PlacementProblem, plan: PlacementPlan, names: Names) -> Sequence[Step]:
    """Return how to check a plan, try it out, and put it into an engine."""
    plan_file, instance = shlex.quote(names.plan), shlex.quote(names.instance)
    return [
        Step(
            text="Check it: every constraint, and the objective, worked out afresh.",
            command=f"moeopt check {instance} {plan_file}",
        ),
        Step(
            text="Try it on this machine: PyTorch workers hold the plan's experts, every output is"
            f" checked and timed. {_FOLD}",
            command=f"moeopt run {plan_file} --instance {instance} --layers 0"
            f" --world {_workers(problem)}",
        ),
        *_engines(problem, plan, f"moeopt export {plan_file} --instance {instance}"),
    ]


#: What fewer workers than devices are.
_FOLD = "With fewer workers than devices each is several of them."


def _engines(problem: PlacementProblem, plan: PlacementPlan, export: str) -> list[Step]:
    """Return the steps into each engine; none if devices are dead: engines number all ranks."""
    if problem.dead_devices:
        return []
    slots = problem.slots()
    ranks, total = problem.num_devices, int(slots.max()) * problem.num_devices
    redundant = total - problem.num_experts
    fills = bool((slots != slots[0]).any() or (plan.physical_to_logical < 0).any())
    pad = " --pad" if fills else ""
    padded = " Empty slots are filled with copies, if the rules allow that." if fills else ""
    numbered, which = _layers(problem)
    eplb = {"num_redundant_experts": redundant, "initial_expert_map_path": "map.json"}
    return [
        Step(
            way="SGLang",
            text=f"Write the placement.{padded}{which}",
            command=f"{export} --format sglang{pad}{numbered} -o placement.json",
        ),
        Step(
            way="SGLang",
            text="Start SGLang with it.",
            command=f"python -m sglang.launch_server --model-path MODEL --tp-size {ranks}"
            f" --ep-size {ranks} --ep-num-redundant-experts {redundant}"
            " --init-expert-location placement.json",
        ),
        Step(
            way="TensorRT-LLM",
            text=f"Write the placement.{padded}{which}",
            command=f"{export} --format tensorrt-llm{pad}{numbered} -o placement.yaml",
        ),
        Step(
            way="TensorRT-LLM",
            text="Start TensorRT-LLM with it.",
            command="cat > options.yaml <<'END'\nmoe_config:\n  backend: WIDEEP\n"
            '  load_balancer: "placement.yaml"\nEND\n'
            f"trtllm-serve MODEL --tp_size {ranks} --ep_size {ranks}"
            " --extra_llm_api_options options.yaml",
        ),
        Step(
            way="vLLM",
            text=f"Write the placement.{padded}",
            command=f"{export} --format vllm{pad} -o map.json",
        ),
        Step(
            way="vLLM",
            text="Start vLLM with it. That needs its pull request 49572; tensor times data parallel"
            f" size must be {ranks}. vLLM makes its own placement after a quarter of step_interval"
            " (3000) steps: raise it to keep this one.",
            command=f"vllm serve MODEL --tensor-parallel-size {ranks} --enable-expert-parallel"
            f" --enable-eplb --eplb-config {shlex.quote(json.dumps(eplb))}",
        ),
    ]


def _layers(problem: PlacementProblem) -> tuple[str, str]:
    """Return the option that says which layers of the model the plan's are, and what to know."""
    model = _model(problem)
    if model is not None:
        return f" --model {model}", ""
    last = problem.num_layers - 1
    text = (
        " As written, every layer of the model has experts; if some are dense, give the numbers of"
        " those with experts, and --model-layers if dense ones follow."
    )
    return f" --layer-ids 0-{last}", text


def _model(problem: PlacementProblem) -> str | None:
    """Return the preset that a problem is of: the longest that its name or source begins with.

    It must have the problem's layers and experts, too.
    """
    told = (problem.name, problem.source.removeprefix("shape of "))
    found = [
        name
        for name in preset_names("model")
        if any(text.startswith(name) for text in told)
        and preset("model", name).moe_layers == problem.num_layers
        and preset("model", name).experts == problem.num_experts
    ]
    return max(found, key=len, default=None)


def _workers(problem: PlacementProblem) -> int:
    """Return at most eight workers that share the devices equally."""
    devices = problem.num_devices
    return max(k for k in range(1, min(8, devices) + 1) if devices % k == 0)
