"""Engines and judges of a package outside of dreamsweep: `toys` is on the path of these tests' own processes alone."""
