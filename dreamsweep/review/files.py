"""Pictures and films as a browser gets them: whole or in ranges."""

import re

from fastapi import Response

RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
FOR_A_DAY = {"Cache-Control": "private, max-age=86400"}
"""A trial's id stands for its pixels."""


def file_response(data: bytes, media_type: str, wanted: str | None) -> Response:
    """Returns a file, or one range of it (RFC 9110, 14): Safari plays no film without. Several ranges at once get the whole file."""
    headers = {**FOR_A_DAY, "Accept-Ranges": "bytes"}
    match = RANGE.fullmatch(wanted.strip()) if wanted else None
    first, last = match.groups() if match else ("", "")
    if not (first or last) or (first and last and int(last) < int(first)):  # none, or one to be ignored
        return Response(data, media_type=media_type, headers=headers)
    start = int(first) if first else max(0, len(data) - int(last))
    end = min(int(last), len(data) - 1) if first and last else len(data) - 1
    if start > end:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{len(data)}"})
    return Response(data[start : end + 1], 206, {**headers, "Content-Range": f"bytes {start}-{end}/{len(data)}"}, media_type)
