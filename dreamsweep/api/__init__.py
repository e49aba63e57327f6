"""The Python interface, for scripts and notebooks; its names are attributes of `dreamsweep` itself."""
