"""Published sweeps for people: SQL, contact sheets, curves and summaries."""
