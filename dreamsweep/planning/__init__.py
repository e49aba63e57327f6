"""Planning: reads a sweep file, expands it to trials and shards, checks settings and estimates costs. Imports no torch."""
