"""SQL over everything that a store has published, by DuckDB: the views are `trials` and `scores`."""

from importlib import resources
from typing import Any

import duckdb
import pyarrow as pa

from dreamsweep.errors import QueryError
from dreamsweep.manifest import published
from dreamsweep.store import Store


def query(store: Store, sql: str) -> pa.Table:
    """The answer to one statement. Raises QueryError when nothing is published yet, or DuckDB refuses the statement."""
    connection = connect(store)
    try:
        return connection.execute(sql).to_arrow_table()
    except duckdb.Error as error:
        first = str(error).split("\n\n")[0].replace("\n", " ")
        raise QueryError(f"the query failed: {first.rstrip('.')}. The tables are trials and scores (docs/query.md).") from None
    finally:
        connection.close()


def connect(store: Store) -> duckdb.DuckDBPyConnection:
    """A DuckDB with the views made. Raises QueryError when the store has published nothing."""
    manifests = list(published(store))
    if not manifests:
        raise QueryError(f"store {store.uri!r} has no published sweep to ask; run one first: dreamsweep run prompts/demo.yaml.")
    connection = duckdb.connect()
    if store.uri.startswith("s3://"):
        read_s3(connection, store)
    for view in ("trials", "scores"):
        uris = [_quoted(_address(store, getattr(manifest, f"{view}_key"))) for manifest in manifests]
        connection.execute(f"CREATE VIEW {view} AS FROM read_parquet([{', '.join(uris)}], union_by_name = true)")
    return connection


def read_s3(connection: duckdb.DuckDBPyConnection, store: Any) -> None:
    """Lets a DuckDB read the store's bucket, with the endpoint and credentials that boto3 found."""
    (extension,) = resources.files("duckdb_extension_httpfs").joinpath("extensions").glob("*/httpfs.duckdb_extension")  # type: ignore[attr-defined]
    connection.load_extension(str(extension))
    credentials = store.client._request_signer._credentials
    if credentials is None:
        raise QueryError(f"store {store.uri!r}: no S3 credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
    frozen = credentials.get_frozen_credentials()
    endpoint = store.client.meta.endpoint_url
    settings = {
        "KEY_ID": frozen.access_key,
        "SECRET": frozen.secret_key,
        "REGION": store.client.meta.region_name,
        "ENDPOINT": endpoint.split("://", 1)[1],
        "URL_STYLE": "path" if "amazonaws.com" not in endpoint else "vhost",
    }
    if frozen.token:
        settings["SESSION_TOKEN"] = frozen.token
    told = ", ".join(f"{key} {_quoted(value)}" for key, value in settings.items())
    try:
        connection.execute(f"CREATE SECRET (TYPE s3, {told}, USE_SSL {endpoint.startswith('https')})")
    except duckdb.Error:
        raise QueryError(f"store {store.uri!r}: DuckDB refused the S3 settings of {endpoint}.") from None  # its own text would show the secret


def _address(store: Store, key: str) -> str:
    uri = store.uri_of(key)
    if uri.startswith("file://"):
        from urllib.parse import unquote, urlparse

        return unquote(urlparse(uri).path)
    return uri


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
