"""Judges: perceptors that score pictures and never steer."""
