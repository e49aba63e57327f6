"""SQL over everything that a store has published, by DuckDB: the views are `trials` and `scores`, and `embed` a text (docs/query.md)."""

import importlib.util
import os
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import get_args
from urllib.parse import unquote, urlsplit

import duckdb
import pyarrow as pa

from dreamsweep.errors import QueryError, StoreError
from dreamsweep.manifest import Manifest, published, published_manifest
from dreamsweep.spec import PerceptorName
from dreamsweep.store import Store

VIEWS = ("trials", "scores")
TRIES, PAUSE = 30, 0.1
"""How often a question is asked when a table cannot be read, and seconds between: another may just have been published in its place."""


def query(store: Store, sql: str, sweep: str | None = None) -> pa.Table:
    """The answer to a statement about every published sweep, or about one alone, whatever else the store holds.

    The answer is of one whole state of every sweep: where another is published meanwhile, the question is asked again.
    Raises QueryError when nothing is published yet, or DuckDB refuses the statement; StoreError where there is no such sweep.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            with connect(store, asked_of(store) if sweep is None else [published_manifest(store, sweep)]) as connection:
                answer = connection.execute(sql)
                if answer is None:  # DuckDB's answer to no statement at all
                    raise QueryError("the query is empty; try: SELECT prompt, judge_best FROM trials ORDER BY judge_best DESC.")
                return answer.to_arrow_table()
        except duckdb.Error as error:
            if not tries_left or not isinstance(error, duckdb.IOException):
                raise QueryError(_sentence(error)) from None
            time.sleep(PAUSE)
    raise AssertionError("the last try returns or raises")


def asked_of(store: Store) -> list[Manifest]:
    """What there is to ask. Raises QueryError when the store has published nothing."""
    manifests = list(published(store))
    if not manifests:
        raise QueryError(f"store {store.uri!r} has no published sweep to ask; run one first: dreamsweep run prompts/demo.yaml.")
    return manifests


def connect(store: Store, manifests: Sequence[Manifest]) -> duckdb.DuckDBPyConnection:
    """A DuckDB that reads the store, with the views over these sweeps made. Raises duckdb.Error where a table cannot be read."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": False})
    connection.execute("SET TimeZone = 'UTC'")
    connection.create_function("embed", embed, ["VARCHAR", "VARCHAR"], "FLOAT[]")
    if store.uri.startswith("s3://"):
        _read_s3(connection, store)
    for view in VIEWS:
        addresses = ", ".join(_quoted(_address(store, getattr(manifest, f"{view}_key"))) for manifest in manifests)
        connection.execute(f"CREATE VIEW {view} AS FROM read_parquet([{addresses}], union_by_name = true, hive_partitioning = false)")
    return connection


@cache
def embed(text: str, judge: str) -> list[float]:
    """The unit embedding of a text by the judge of that name, to be compared with the pictures' by `list_cosine_similarity`.

    Raises QueryError where there is no such judge.
    """
    from dreamsweep.perceptors import load_perceptor  # torch, which few questions need

    if judge not in get_args(PerceptorName):
        raise QueryError(f"embed: there is no judge {judge!r}; give it the column judge_name.")
    told: list[float] = load_perceptor(judge, "cpu").embed_texts([text])[0].tolist()
    return told


def httpfs_extension() -> Path:
    """DuckDB's S3 reader, as its package brings it. Raises QueryError when it is not there, or is for another DuckDB."""
    found = importlib.util.find_spec("duckdb_extension_httpfs")
    folders = found.submodule_search_locations if found else None
    path = Path(next(iter(folders or ["."]))) / "extensions" / f"v{duckdb.__version__}" / "httpfs.duckdb_extension"
    if not path.is_file():
        raise QueryError(
            "queries of an S3 store need DuckDB's httpfs, which is not installed for this version of it: "
            f"pip install duckdb-extension-httpfs=={duckdb.__version__}"
        )
    return path


def _read_s3(connection: duckdb.DuckDBPyConnection, store: Store) -> None:
    """Lets a DuckDB read the store's bucket, with the endpoint and credentials that boto3 found."""
    from dreamsweep.store.s3 import S3Store

    assert isinstance(store, S3Store)
    connection.load_extension(str(httpfs_extension()))
    access = store.access()
    endpoint = urlsplit(access.endpoint)
    settings = {
        "KEY_ID": access.key_id,
        "SECRET": access.secret,
        "SESSION_TOKEN": access.token,
        "REGION": access.region,
        "ENDPOINT": endpoint.netloc.rpartition("@")[2] + endpoint.path.rstrip("/"),
        "URL_STYLE": "path" if access.style == "path" else "vhost",
        "USE_SSL": str(endpoint.scheme == "https").lower(),
        "SCOPE": f"s3://{store.bucket}",
    }
    told = ", ".join(f"{name} {_quoted(value)}" for name, value in settings.items() if value)
    try:
        if bundle := os.environ.get("AWS_CA_BUNDLE"):
            connection.execute(f"SET ca_cert_file = {_quoted(bundle)}")
        connection.execute(f"CREATE SECRET (TYPE s3, {told})")
    except duckdb.Error:  # its own text would tell the secret
        raise StoreError(f"store {store.uri!r}: DuckDB cannot use its S3 settings; check AWS_ENDPOINT_URL and the region.") from None


def _address(store: Store, key: str) -> str:
    uri = store.uri_of(key)
    return unquote(urlsplit(uri).path) if uri.startswith("file:") else uri


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _sentence(error: duckdb.Error) -> str:
    """DuckDB's message on one line, without its drawing of the place, and what to do where that is plain."""
    message, _, drawing = str(error).partition("\n\n")
    told = " ".join(message.split()).rstrip(".!")
    line = drawing.split("\n")[0].strip() if drawing.startswith("LINE") else ""
    match error:
        case duckdb.CatalogException() if "Table with name" in told:
            told, cure = told.split("! Did you mean")[0], "the tables are trials and scores"
        case duckdb.BinderException() if "not found in FROM clause" in told or "Could not find key" in told:
            cure = "DESCRIBE trials and DESCRIBE scores tell the columns"
        case duckdb.ParserException():
            cure = f"mend the statement at {line!r}" if line else "mend the statement"
        case duckdb.IOException() | duckdb.HTTPException() | duckdb.InvalidInputException():
            cure = "if a table of the store is named, it is missing or damaged, and running its sweep again makes it anew"
        case duckdb.OutOfMemoryException():
            cure = "ask for fewer columns or rows, or SET memory_limit"
        case _:
            cure = "docs/query.md describes the tables trials and scores"
    return f"DuckDB refused the query: {told}; {cure}."
