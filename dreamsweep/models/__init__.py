"""Frozen generative networks, each loaded by name: dVAE, BigGAN, Stable Diffusion, unCLIP."""
