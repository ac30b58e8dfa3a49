"""Passes over a graph, one file each: every bit of every tensor that remains stays as it was."""
