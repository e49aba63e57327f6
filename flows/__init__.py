"""One flow a file: the order of its steps, and nothing of how a step is done."""
