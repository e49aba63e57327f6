"""Results of a sweep in a store: manifests, the hand-off to remote workers, status, and clean-up."""
