"""Perceptors: frozen image-text models that guide or judge."""
