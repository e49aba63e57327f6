"""The commands of `dreamsweep`, a file each: what was typed becomes calls, and what came of them plain lines.

Heavy imports (torch, prefect, duckdb) stand in the functions that need them, so that `dreamsweep --help` answers at once.
"""
