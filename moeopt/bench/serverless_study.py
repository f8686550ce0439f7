"""The comparisons of arXiv 2501.05313, Figure 14, in its own terms: LambdaML, and a cluster.

What the paper does not publish is calibrated (`moeopt.serverless.calibration`);
`moeopt.bench.serverless_claims` says over which range of these constants its claims hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table
from moeopt.serverless.baselines import ClusterRun, CpuCluster, cpu_cluster, least_idle_share
from moeopt.serverless.calibration import NON_MOE_MB, TOKENS
from moeopt.serverless.generate import deployed
from moeopt.serverless.plan import ServerlessPlan, evaluate, violations
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.simple import lambdaml

#: Published: the least saving against LambdaML, the most throughput lost for it, and the least
#: saving against the cluster.
SAVED, LOST, SAVED_ON_CLUSTER = 0.4341, 0.1876, 0.7567

#: The largest memory of the paper's text, against 3,072 MB in its list (E9).
TEXT_MB = 3008

MODELS = ("gpt2-moe", "bert-moe-4", "bert-moe-8", "bert-moe-16", "bert2bert-moe")


@dataclass(frozen=True)
class Compared:
    """A batch by LambdaML and by the cheapest plan that loses little throughput.

    Attributes
    ----------
    usd, theirs_usd
        Bill of the plan and of LambdaML's.
    tokens_per_s, theirs_tokens_per_s
        Throughput of both, from end to end.
    ods_usd
        Bill of Algorithm 1's plan, ``None`` if it finds none.
    plan
        The cheapest plan.
    """

    usd: float
    theirs_usd: float
    tokens_per_s: float
    theirs_tokens_per_s: float
    ods_usd: float | None
    plan: ServerlessPlan

    @property
    def saved(self) -> float:
        """Share of LambdaML's bill."""
        return 1.0 - self.usd / self.theirs_usd

    @property
    def lost(self) -> float:
        """Share of LambdaML's throughput."""
        return 1.0 - self.tokens_per_s / self.theirs_tokens_per_s


def compared(
    problem: ServerlessProblem, lost: float = LOST, tokens: int = TOKENS, *, ods: bool = False
) -> Compared | None:
    """Compare with LambdaML, which keeps no promise: the promise is its throughput, or less.

    ``None`` if LambdaML's plan breaks a rule, such as the longest call.

    Parameters
    ----------
    problem
        Without a promise.
    lost
        Most throughput that may be lost.
    tokens
        Of the batch.
    ods
        Whether Algorithm 1 is run too.
    """
    if violations(problem, lambdaml(problem)):
        return None
    theirs = evaluate(problem, lambdaml(problem))
    slo_s = theirs.latency_s / (1.0 - lost)
    promised = msgspec.structs.replace(problem, slo_s=slo_s, generator=None)
    plan = solve(promised, "exact").plan
    # LambdaML's own plan keeps the promise.
    assert isinstance(plan, ServerlessPlan)
    ours = evaluate(promised, plan)
    return Compared(
        usd=ours.cost_usd,
        theirs_usd=theirs.cost_usd,
        tokens_per_s=tokens / ours.latency_s,
        theirs_tokens_per_s=tokens / theirs.latency_s,
        ods_usd=solve(promised, "ods").objective if ods else None,
        plan=plan,
    )


def run(setting: Setting) -> Report:
    """Compare every model with LambdaML and with the cluster."""
    models = MODELS[:2] if setting.quick else MODELS
    report = _lambdaml(models)
    report.add(_cluster(models))
    return report


def _cases(models: tuple[str, ...]) -> dict[str, ServerlessProblem]:
    cases = {model: deployed(model, bill="paper") for model in models}
    cases |= {f"{model}, uniform": deployed(model, "uniform", bill="paper") for model in models}
    cases |= {f"{model}, all fees": deployed(model) for model in models}
    cases["bert-moe-4, top 2"] = deployed("bert-moe-4", top_k=2, bill="paper")
    listed = cases[models[0]]
    sizes = (*listed.memory_mb[:-1], TEXT_MB)
    cases[f"{models[0]}, {TEXT_MB} MB at most"] = msgspec.structs.replace(
        listed, memory_mb=sizes, generator=None
    )
    return cases


def _lambdaml(models: tuple[str, ...]) -> Report:
    rows: list[list[Cell]] = []
    found = {name: _known(problem, ods=True) for name, problem in _cases(models).items()}
    for name, one in found.items():
        ods = None if one.ods_usd is None else 1.0 - one.ods_usd / one.theirs_usd
        rows.append([name, 1e3 * one.theirs_usd, one.theirs_tokens_per_s, 1e3 * one.usd,
                     one.tokens_per_s, one.saved, ods, one.lost])  # fmt: skip
    columns = [Column("model"), Column("LambdaML, 1e-3 USD", ".3f"), Column("tokens/s", ".1f"),
               Column("ours, 1e-3 USD", ".3f"), Column("tokens/s", ".1f"), Column("saved", ".2%"),
               Column("saved by ods", ".2%"), Column("lost", ".2%")]  # fmt: skip
    note = (
        f"A batch of {TOKENS} tokens. Paper: at least {SAVED:.2%} saved, at most {LOST:.2%} of the"
        " throughput lost; it bills expert functions alone. Popularity 1 / rank unless it says"
        " uniform; constants calibrated."
    )
    by_paper = [one for name, one in found.items() if "all fees" not in name]
    figures = [
        Figure("cost over LambdaML's, most of the models", max(1.0 - one.saved for one in by_paper),
               1.0 - SAVED, ".4f", "the paper's bill"),
        Figure("throughput lost for it, most", max(one.lost for one in found.values()), LOST,
               ".4f"),
    ]  # fmt: skip
    data = {name: [one.saved, one.lost] for name, one in found.items()}
    table = Table("Against LambdaML: the largest memory, no replicas", columns, rows, note)
    return Report([table], figures, {"lambdaml": data})


def _cluster(models: tuple[str, ...]) -> Report:
    rows: list[list[Cell]] = []
    idle = []
    for model in models:
        for name, problem in (
            ("experts", deployed(model, bill="paper")),
            ("whole model", _whole(deployed(model))),
        ):
            ours = _known(problem)
            busy = cpu_cluster(problem)
            theirs_usd = busy.experts_usd if name == "experts" else busy.total_usd
            least = least_idle_share(ours.usd, theirs_usd, SAVED_ON_CLUSTER)
            idle.append(least)
            served = _served(busy, least)
            rows.append([model, name, 1e3 * theirs_usd, TOKENS / busy.total_s, 1e3 * ours.usd,
                         ours.tokens_per_s, ours.usd / theirs_usd, least, served])  # fmt: skip
    names = ("cluster, 1e-3 USD", "tokens/s", "ours, 1e-3 USD", "tokens/s", "ours over it",
             "least idle share", "batches an hour")  # fmt: skip
    formats = (".3f", ".0f", ".3f", ".1f", ".2f", ".2%", ".1f")
    columns = [Column("model"), Column("what is billed")]
    columns += [Column(name, form) for name, form in zip(names, formats, strict=True)]
    stated = CpuCluster()
    note = (
        f"{stated.cores} cores for {stated.usd_per_hour:.2f} USD an hour, never idle. least idle"
        f" share: from which on ours is the published {SAVED_ON_CLUSTER:.2%} cheaper; batches an"
        " hour: what a cluster so idle serves at most. Neither price nor idle share is published."
    )
    worst = max(float(row[6] or 0) for row in rows)
    figures = [
        Figure("cost over a cluster's that is never idle, most", worst, None, ".2f",
               f"published: {1.0 - SAVED_ON_CLUSTER:.4f}, idle resources counted"),
        Figure("idle share from which all models keep the published", max(idle), None, ".2%"),
    ]  # fmt: skip
    table = Table("Against a cluster of processors", columns, rows, note)
    return Report([table], figures, {"cluster_idle_share": idle})


def _known(problem: ServerlessProblem, *, ods: bool = False) -> Compared:
    """Compare one of the paper's models as calibrated, where LambdaML's plan breaks no rule."""
    found = compared(problem, ods=ods)
    assert found is not None
    return found


def _whole(problem: ServerlessProblem) -> ServerlessProblem:
    """Return a problem that bills the functions of non-MoE layers too."""
    billing = msgspec.structs.replace(problem.billing, non_moe_memory_mb=NON_MOE_MB)
    return msgspec.structs.replace(problem, billing=billing, generator=None)


def _served(busy: ClusterRun, idle_share: float) -> float:
    """Return how many batches an hour a cluster serves that is idle for a share of the time."""
    return 3600.0 * (1.0 - idle_share) / busy.total_s
