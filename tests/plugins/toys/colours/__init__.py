"""A toy package: an engine and a judge that dreamsweep knows nothing of."""
