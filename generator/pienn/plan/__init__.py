"""From a graph to a plan: which kernel computes each op, and where every tensor lies."""

from pienn.plan.plan import Plan, plan

__all__ = ["Plan", "plan"]
