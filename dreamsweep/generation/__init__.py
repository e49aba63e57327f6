"""Shards: batches of trials, from the first iteration or a checkpoint to staged pictures and rows."""
