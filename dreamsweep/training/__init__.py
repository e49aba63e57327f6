"""Starter weights: small networks that ship with dreamsweep, and the recipe that trains them (docs/starter.md)."""
