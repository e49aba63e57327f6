"""Questions in SQL on the page: the sandbox of `dreamsweep query`, with limits on time, memory and rows.

/api/questions     the tested questions
/api/ask           POST: the answer to one statement
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from threading import BoundedSemaphore
from typing import Annotated, Any

import duckdb
from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from dreamsweep.errors import QueryError, UserError
from dreamsweep.report.plain_values import json_text, plain
from dreamsweep.report.query import Limits, Session, answer
from dreamsweep.report.questions import questions
from dreamsweep.store import Store

ROWS, CHARACTERS = 1_000, 2_000
"""Rows that are sent, and characters of each value."""
SECONDS = 20.0
"""Seconds after which a statement is interrupted."""
LIMITS = Limits(memory="1GB", threads=2)
AT_ONCE = 2
"""Statements that run at the same time."""
EXACT = 2**53
"""Whole numbers beyond this are sent as text: JavaScript rounds them."""


class Question(BaseModel):
    """Statement, and the sweep that it asks about."""

    model_config = ConfigDict(extra="forbid")

    sql: Annotated[str, Field(max_length=20_000)]
    sweep: Annotated[str | None, Field(max_length=200)] = None
    """All sweeps of the store without."""


@dataclass(frozen=True)
class Column:
    """Column of an answer."""

    name: str
    type: str
    """`number` or `text`."""


@dataclass(frozen=True)
class Answer:
    """Answer to a statement."""

    columns: list[Column]
    rows: list[list[Any]]
    has_more: bool
    """Whether there are rows that are not sent."""


def add_ask(app: FastAPI, store: Store, from_this_page: Callable[[Request], None]) -> None:
    """Adds the addresses."""
    room = BoundedSemaphore(AT_ONCE)

    @app.get("/api/questions")
    def tested_questions() -> dict[str, str]:
        return questions()

    @app.post("/api/ask", dependencies=[Depends(from_this_page)])
    def ask(question: Question) -> Answer:
        if not room.acquire(blocking=False):
            raise HTTPException(503, "other questions are being answered; ask again in a moment.", {"Retry-After": "5"})
        try:
            return answer(store, lambda session: _answer(session, question.sql), question.sweep, limits=LIMITS)
        except UserError as error:
            raise HTTPException(400, str(error)) from None
        finally:
            room.release()


def _answer(session: Session, sql: str) -> Answer:
    """Returns the first rows of an answer as JSON holds them. Raises QueryError at the time limit."""
    with time_limit(session.connection):
        table = session.table(sql, most=ROWS + 1)
    shown = table.slice(0, ROWS)
    values = [[_value(value) for value in plain(column)] for column in shown.columns]
    columns = [
        Column(name, "number" if all(isinstance(value, int | float | None) for value in column) and any(column) else "text")
        for name, column in zip(table.column_names, values, strict=True)
    ]
    return Answer(columns, [list(row) for row in zip(*values, strict=True)], table.num_rows > ROWS)


@contextmanager
def time_limit(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Interrupts what the connection does at the time limit. Raises QueryError then."""
    timer = threading.Timer(SECONDS, connection.interrupt)
    timer.start()
    try:
        yield
    except duckdb.InterruptException:
        raise QueryError(f"the question took longer than {SECONDS:.0f} s; ask for less, or use dreamsweep query.") from None
    finally:
        timer.cancel()


def _value(value: Any) -> str | int | float | bool | None:
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) <= EXACT else str(value)
        case float():
            return value if value - value == 0 else None  # NaN and the infinities, which JSON lacks
        case Decimal():
            return float(value)
        case _:
            text = value if isinstance(value, str) else json_text(value)
            return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1]}…"
