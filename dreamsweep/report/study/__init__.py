"""The report of a sweep: its data, the sections of its page, and the page."""
