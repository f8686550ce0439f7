"""``moeopt bench serverless``: the cheapest deployment, its proofs, and the paper's claims."""

from __future__ import annotations

from moeopt.bench import (
    serverless_claims,
    serverless_identities,
    serverless_proofs,
    serverless_simulator,
    serverless_study,
)
from moeopt.bench.parts import run_parts
from moeopt.bench.registry import Report, Setting, Workload, register
from moeopt.bench.serverless_bayes import bayes_tables
from moeopt.bench.serverless_prediction import prediction_tables
from moeopt.bench.timing import one_core


def run(setting: Setting) -> Report:
    """Run every part on one core and put their figures together."""
    report = Report()
    with one_core() as core:
        report.data["core"] = core
        parts = {
            "identities": serverless_identities.run,
            "simulator": lambda: serverless_simulator.run(setting),
            "proofs": lambda: serverless_proofs.run(setting),
            "study": lambda: serverless_study.run(setting),
            "claims": lambda: serverless_claims.run(setting),
            "prediction": lambda: prediction_tables(setting.quick),
            "Bayesian optimisation": lambda: bayes_tables(setting.quick),
        }
        run_parts(setting, "serverless", parts, report)
    return report


register(
    Workload(
        name="serverless",
        summary="experts as functions: identities, proofs, and arXiv 2501.05313's claims",
        run=run,
    )
)
