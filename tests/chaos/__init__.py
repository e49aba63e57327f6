"""Faults on purpose: processes killed at random, a store that fails, disks that are full, objects that are damaged.

Every run is compared bit for bit with one that nothing disturbed. `make test` has a minute of it; `benchmarks/chaos.py` goes on for hours.
"""
