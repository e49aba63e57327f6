"""Guides: perceptors that steer a batch of trials, each with its own prompt and its own cutouts."""
