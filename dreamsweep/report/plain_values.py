"""Values of an answer as numbers, texts, lists and objects, which a table, CSV and JSON can hold; every type of DuckDB included.

DATE, TIME, TIMESTAMP, INTERVAL   ISO 8601 text; `infinity` and `-infinity` as DuckDB spells them
BLOB                              base64 text
MAP                               an object, its keys as text
STRUCT                            an object; a list where the members have no names
LIST, ARRAY                       a list
UNION, ENUM                       the value
"""

import base64
import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as kinds

NUMBERS_AND_TEXTS = (
    kinds.is_boolean,
    kinds.is_integer,
    kinds.is_floating,
    kinds.is_decimal,
    kinds.is_string,
    kinds.is_large_string,
    kinds.is_null,
)
LISTS = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list)
TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Parts of a second, by Arrow's units of time."""


def plain(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Returns a column as None, bool, int, float, Decimal, str, and lists and objects of these."""
    if any(matches(column.type) for matches in NUMBERS_AND_TEXTS):
        values: list[Any] = column.to_pylist()
        return values
    return [_value(scalar) for scalar in column]


def json_text(value: Any) -> str:
    """Returns a plain value as JSON on one line; NaN and the infinities, which JSON lacks, are null. Numbers keep all their digits."""
    match value:
        case float():
            return repr(value) if math.isfinite(value) else "null"
        case Decimal():
            return f"{value:f}"
        case list():
            return f"[{', '.join(map(json_text, value))}]"
        case dict():
            return f"{{{', '.join(f'{json_text(key)}: {json_text(entry)}' for key, entry in value.items())}}}"
        case _:
            return json.dumps(value, ensure_ascii=False)


def csv_text(value: Any) -> str:
    """Returns a plain value as a field of CSV: JSON for lists and objects, nothing for null."""
    match value:
        case None:
            return ""
        case str():
            return value
        case float():
            return repr(value)
        case _:
            return json_text(value)


def _value(scalar: pa.Scalar) -> Any:
    kind = scalar.type
    if not scalar.is_valid:
        return None
    if kinds.is_dictionary(kind) or kinds.is_union(kind):
        return _value(scalar.value)
    if any(matches(kind) for matches in LISTS):
        return plain(scalar.values)
    if kinds.is_map(kind):
        keys, values = (plain(scalar.values.field(part)) for part in (0, 1))
        return {csv_text(key): value for key, value in zip(keys, values, strict=True)}
    if kinds.is_struct(kind):
        values = [_value(scalar[number]) for number in range(kind.num_fields)]
        names = [field.name for field in kind]
        return dict(zip(names, values, strict=True)) if all(names) else values
    if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
        return base64.b64encode(scalar.as_py()).decode()
    if kinds.is_date(kind):
        return _moment(scalar.value, "D", (1 << 31) - 1)
    if kinds.is_timestamp(kind):
        moment = _moment(scalar.value, kind.unit, (1 << 63) - 1)
        return moment if kind.tz is None or moment.endswith("infinity") else f"{moment}+00:00"
    if kinds.is_time(kind):
        return _clock(scalar.value, TICKS[kind.unit])
    return _span(scalar.value) if kinds.is_interval(kind) else scalar.as_py()


def _moment(value: int, unit: Any, infinity: int) -> str:
    """Returns a date or a timestamp as text, of any year; Python's own end at 9999."""
    if abs(value) == infinity:
        return "infinity" if value > 0 else "-infinity"
    moment, _, fraction = str(np.datetime64(value, unit)).partition(".")
    return f"{moment}.{fraction}" if fraction.strip("0") else moment


def _clock(value: int, ticks: int) -> str:
    """Returns a time of day as text, 24:00:00 included."""
    seconds, rest = divmod(value, ticks)
    fraction = f".{rest:0{len(str(ticks)) - 1}}" if rest else ""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def _span(span: Any) -> str:
    """Returns an interval (months, days, nanoseconds) as in ISO 8601: `P1Y2M3DT4H5M6.5S`; each part has its own sign."""
    years, months = _signed_divmod(span.months, 12)
    minutes, nanoseconds = _signed_divmod(span.nanoseconds, 60 * TICKS["ns"])
    hours, minutes = _signed_divmod(minutes, 60)
    seconds = f"{Decimal(nanoseconds).scaleb(-9).normalize():f}" if nanoseconds else 0
    date = "".join(f"{number}{letter}" for number, letter in ((years, "Y"), (months, "M"), (span.days, "D")) if number)
    time = "".join(f"{number}{letter}" for number, letter in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    return f"P{date}T{time}" if time else f"P{date}" if date else "PT0S"


def _signed_divmod(value: int, by: int) -> tuple[int, int]:
    whole, rest = divmod(abs(value), by)
    return (whole, rest) if value >= 0 else (-whole, -rest)
