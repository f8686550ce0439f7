"""Placement in motion: what replanning costs, and policies judged over a stream of windows."""

from moeopt.placement.motion.costs import Costs
from moeopt.placement.motion.simulate import Policy, Run, World, simulate

__all__ = ["Costs", "Policy", "Run", "World", "simulate"]
