"""Nightly prompt sweeps of CLIP-guided image generation: prompts × engines × seeds in, pictures and Parquet out."""

__version__ = "0.1.0"
