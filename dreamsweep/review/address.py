"""Where people find the review page, for whoever writes links to it."""

import os
from urllib.parse import quote

ADDRESS = "DREAMSWEEP_REVIEW_URL"
"""The environment variable that holds the page's address as browsers know it: `http://127.0.0.1:4300`."""
LOGIN = "DREAMSWEEP_REVIEW_LOGIN"
"""The one that holds NAME:PASSWORD, where the page is to ask for a login."""


def review_page(sweep: str) -> str | None:
    """Returns a sweep's review page, where the environment tells of one."""
    at = os.environ.get(ADDRESS, "").strip()
    return page_of(at, sweep) if at else None


def page_of(at: str, sweep: str) -> str:
    """Returns a sweep's page below a server's address."""
    return f"{at.rstrip('/')}/sweeps/{quote(sweep)}"
