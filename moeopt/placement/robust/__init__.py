"""Plans for loads that are not known for sure: few windows, several tasks, popularity that turns.

`history` keeps a short history from being overfitted, `reduction` makes few load scenarios of many
windows, `switching` tells whether one plan for all tasks or one for each costs fewer seconds.
"""

from moeopt.placement.robust.history import Shrinkage, shrinkage, shrunk
from moeopt.placement.robust.reduction import Scenarios, scenarios
from moeopt.placement.robust.switching import Choice, Turns, break_even_s, choose, turns
from moeopt.placement.robust.traffic import Traffic

__all__ = [
    "Choice",
    "Scenarios",
    "Shrinkage",
    "Traffic",
    "Turns",
    "break_even_s",
    "choose",
    "scenarios",
    "shrinkage",
    "shrunk",
    "turns",
]
