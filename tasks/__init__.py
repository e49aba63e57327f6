"""Tasks, one a file: retries, names and limits in the decorator, about one call into `dreamsweep` below it."""
