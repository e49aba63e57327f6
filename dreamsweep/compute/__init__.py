"""Devices, precision, random numbers and images: what every network here computes with."""
