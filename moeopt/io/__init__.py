"""JSON in and out: problems and plans as files, checked before anything else sees them.

A problem is ``{"problem": "placement", "version": 1, ...}``, a plan is ``{"plan": "placement",
"version": 1, "problem_sha256": ..., "result": {...}, ...}``. Any array field may be
``{"npz": "file.npz", "key": "loads"}`` instead, a file in the document's own folder.
"""

from moeopt.io.documents import (
    PlanDocument,
    ResultRecord,
    load_any,
    load_plan,
    load_plan_document,
    load_problem,
    plan_document_type,
    save_plan,
    save_problem,
)
from moeopt.io.encode import (
    plan_to_json,
    problem_sha256,
    problem_to_json,
    result_to_json,
    to_json,
)

__all__ = [
    "PlanDocument",
    "ResultRecord",
    "load_any",
    "load_plan",
    "load_plan_document",
    "load_problem",
    "plan_document_type",
    "plan_to_json",
    "problem_sha256",
    "problem_to_json",
    "result_to_json",
    "save_plan",
    "save_problem",
    "to_json",
]
