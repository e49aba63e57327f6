"""Flows, one a file: the order of the steps, and nothing of how a step is done."""

SWEEPS, GPU = "sweeps", "gpu"
"""Work pool of the flows that look after a sweep, and work pool of those that make its shards."""
