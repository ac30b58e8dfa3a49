"""The graph: dialect, file, verifier, and the interpreter that says what a graph computes."""
