"""The time of a Mixture-of-Experts layer: alone, or of several models that take turns.

Written after Aurora (arXiv 2410.17043): gate, dispatch, expert computation, combine, aggregation,
eq. (1) and (3) for one model, Table 2 and eq. (4) for models that share devices. Every all-to-all
takes its fluid optimum (Theorem 4.2, for unequal ports Theorem 5.2): the busiest port's bytes over
its rate. All functions keep leading axes: layers, scenarios, candidate plans.
"""

from moeopt.timeline.aurora import closed_form_s, no_idle_total_s
from moeopt.timeline.layer import Exchange, LayerTime, layer_time
from moeopt.timeline.round import Interleaved, Spans
from moeopt.timeline.steps import Phase, Step
from moeopt.timeline.turns import (
    Network,
    busiest_port,
    interleaved,
    interleaved_alone,
    interleaved_phases,
    line_seconds,
)

__all__ = [
    "Exchange",
    "Interleaved",
    "LayerTime",
    "Network",
    "Phase",
    "Spans",
    "Step",
    "busiest_port",
    "closed_form_s",
    "interleaved",
    "interleaved_alone",
    "interleaved_phases",
    "layer_time",
    "line_seconds",
    "no_idle_total_s",
]
