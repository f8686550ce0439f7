"""A conformance suite that any solver of a wing, ours or a third party's, can be put through.

A method promises things in its `moeopt.core.wing.Capabilities`; each property here holds it to one
of them, or to what every method owes: a valid plan, honest numbers, the same plan for the same
seed. A breach raises `ConformanceError`, an `AssertionError` that names the property, the problem
as JSON and the numbers, for the smallest problem that hypothesis could shrink to.

In a test suite, one test for each property::

    from moeopt.testing.conformance import conformance_cases

    @pytest.mark.parametrize("case", conformance_cases("placement", MY_METHOD))
    def test_my_method(case):
        case()
"""

from moeopt.testing.conformance.case import Case, ConformanceError, problem_json
from moeopt.testing.conformance.kit import Kit, Optimum, Relabelled, kit_for, register_kit
from moeopt.testing.conformance.properties import PROPERTIES, Property
from moeopt.testing.conformance.suite import Report, check_method, conformance_cases

__all__ = [
    "PROPERTIES",
    "Case",
    "ConformanceError",
    "Kit",
    "Optimum",
    "Property",
    "Relabelled",
    "Report",
    "check_method",
    "conformance_cases",
    "kit_for",
    "problem_json",
    "register_kit",
]
