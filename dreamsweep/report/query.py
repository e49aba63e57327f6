"""SQL over everything that a store has published, by DuckDB: a view a table, and `embed` for a text (docs/query.md)."""

import importlib.util
import logging
import os
import re
import shlex
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa

from dreamsweep.environment import is_loopback
from dreamsweep.errors import QueryError, StoreError, StoreUnavailableError
from dreamsweep.report.arrow_types import castable, distinct_names
from dreamsweep.report.describe import description
from dreamsweep.report.sandbox import UNSAFE, lock, refuse_all_but_reading
from dreamsweep.report.views import addresses_below, make_view, quoted
from dreamsweep.results.manifest import Manifest, published_manifest, read_manifest, with_every_table
from dreamsweep.spec import PerceptorName, judge_names
from dreamsweep.store import Store, keys, without_login
from dreamsweep.tables.parquet import ahead
from dreamsweep.tables.registry import TABLES

TRIES, PAUSE = 30, 0.1
"""How often a statement is tried while a table cannot be read, and seconds between: another may just have been published in its place."""
LOG = logging.getLogger(__name__)
T = TypeVar("T")
Sweeps = str | tuple[str, ...] | None
"""One published sweep, several, or all of a store."""


@dataclass(frozen=True)
class Limits:
    """Limits on what a statement may use."""

    memory: str
    """As DuckDB spells it: `1GB`. Nothing is written to a disk in place of it."""
    threads: int


class Session:
    """One state of a store, for one or several statements: manifests read once, one connection.

    Views are made when a statement first names them. It reads the folders of its sweeps and no other files, and its settings cannot be
    changed, unless it is `unsafe` (`sandbox`). Used as a context; `answer` runs a function with a new one.
    """

    def __init__(
        self,
        store: Store,
        sweep: Sweeps = None,
        *,
        unsafe: bool = False,
        limits: Limits | None = None,
        without: Container[str] = (),
    ) -> None:
        self.store, self.unsafe = store, unsafe
        names = (sweep,) if isinstance(sweep, str) else sweep
        self.manifests = (
            [manifest for manifest in readable_manifests(store) if manifest.sweep not in without]
            if names is None
            else [with_every_table(store, published_manifest(store, name)) for name in names]
        )
        self.connection = connect(store, self.manifests, unsafe=unsafe, limits=limits)
        self._views: set[str] = set()

    def rows(self, sql: str, **tables: pa.Table) -> list[dict[str, Any]]:
        """Returns the answer to a statement as plain values; it may use these further `tables` by their names."""
        for name, table in tables.items():
            self.connection.register(name, table)
        try:
            rows: list[dict[str, Any]] = self.table(sql).to_pylist()
        finally:
            for name in tables:
                self.connection.unregister(name)
        return rows

    def table(self, sql: str, most: int | None = None) -> pa.Table:
        """Returns the answer to a statement, or its first rows; no two of its columns have one name (`trial_id`, `trial_id_1`).

        Raises duckdb.Error where DuckDB refuses it, QueryError where it is empty or no text.
        """
        if any("\ud800" <= letter <= "\udfff" for letter in sql):
            raise QueryError("the query holds bytes that are not UTF-8; write it in UTF-8.")
        if not self.unsafe:
            refuse_all_but_reading(self.connection, sql)
        return self._outlast(lambda: self._table(sql, most))

    def _table(self, sql: str, most: int | None) -> pa.Table:
        self._make_views(sql)
        if (described := description(self.connection, sql)) is not None:
            return described
        answer = self.connection.execute(sql)
        if answer is None:  # DuckDB's answer to no statement at all
            raise QueryError("the query is empty; try: SELECT prompt, judge_best FROM trials ORDER BY judge_best DESC.")
        if (with_casts := castable(answer, sql)) is not None:
            answer = self.connection.execute(with_casts)
        return distinct_names(answer.to_arrow_table() if most is None else _first_rows(answer.to_arrow_reader(most), most))

    def _outlast(self, ask: Callable[[], T]) -> T:
        """Asks DuckDB again while an S3 server does not answer it, for as long as the store's own requests wait. Raises duckdb.Error."""
        if not self.store.uri.startswith("s3://"):
            return ask()
        from dreamsweep.store.s3 import S3Store

        assert isinstance(self.store, S3Store)

        def call() -> T:
            try:
                return ask()
            except duckdb.Error as error:
                if _is_outage(error):
                    raise _broken_off(self.store, error) from None
                raise

        return self.store.patience.outlast(call)

    def batches(self, sql: str, rows: int) -> pa.RecordBatchReader:
        """Returns the answer to a statement of ours `rows` at a time; memory does not grow with it. Raises duckdb.Error."""
        self._make_views(sql)
        return self.connection.execute(sql).to_arrow_reader(rows)

    def _make_views(self, sql: str) -> None:
        """Makes the views of the tables that a statement names, and are not made yet."""
        text = sql.lower()
        for name in [name for name in TABLES if name in text] or TABLES:
            for needed in (*TABLES[name].derived_from, name):
                if needed not in self._views:
                    make_view(self.connection, self.store, self.manifests, TABLES[needed])
                    self._views.add(needed)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def _first_rows(reader: pa.RecordBatchReader, most: int) -> pa.Table:
    batches, rows = list[pa.RecordBatch](), 0
    for batch in reader:
        batches.append(batch)
        rows += batch.num_rows
        if rows >= most:
            break
    return pa.Table.from_batches(batches, reader.schema).slice(0, most)


def query(store: Store, sql: str, sweep: str | None = None, *, unsafe: bool = False) -> pa.Table:
    """Returns the answer to a statement about every published sweep, or about one alone, whatever else the store holds.

    The answer is of one whole state of every sweep: where another is published meanwhile, the statement runs again. `unsafe` allows
    whatever DuckDB can do, such as several statements, and reading and writing any file.
    Raises QueryError when nothing is published yet, or DuckDB refuses the statement; StoreError where there is no such sweep.
    """
    return answer(store, lambda session: session.table(sql), sweep, unsafe=unsafe)


def answer(store: Store, ask: Callable[[Session], T], sweep: Sweeps = None, *, unsafe: bool = False, limits: Limits | None = None) -> T:
    """Returns what `ask` gets out of one session; with a new session where a table was replaced meanwhile. Raises as `query` does.

    Of all sweeps, one with a table that is missing or damaged is left out, with a warning, and the others answer.
    """
    tries_left, skipped = TRIES, set[str]()
    while True:
        with Session(store, sweep, unsafe=unsafe, limits=limits, without=skipped) as session:
            try:
                return ask(session)
            except duckdb.Error as error:
                if _is_outage(error):
                    raise _broken_off(store, error) from None
                tries_left -= 1
                if tries_left and isinstance(error, duckdb.IOException):
                    time.sleep(PAUSE)
                    continue
                damaged = _damaged_sweep(store, session.manifests, error) if sweep is None else None
                if damaged is None:
                    raise QueryError(_sentence(error)) from None
                reason, cure = _first_line(error), shlex.join(["dreamsweep", "verify", damaged, "--repair"])
                LOG.warning("skipped: sweep %r has a table that cannot be read (%s); repair it with: %s", damaged, reason, cure)
                tries_left = TRIES
                skipped.add(damaged)


def _damaged_sweep(store: Store, manifests: Sequence[Manifest], error: duckdb.Error) -> str | None:
    """Returns the sweep whose file an error names, where there are others."""
    if len(manifests) < 2:
        return None
    sweeps = (manifest.sweep for manifest in manifests)
    return next((sweep for sweep in sweeps if any(place in str(error) for place in addresses_below(store, [f"{sweep}/"]))), None)


def readable_manifests(store: Store) -> list[Manifest]:
    """Reads the manifests of every published sweep; an invalid one is skipped with a warning. Raises QueryError when there is none."""
    read = list(ahead(lambda sweep: _manifest_or_mistake(store, sweep), store.folders()))
    manifests = [manifest for manifest in read if isinstance(manifest, Manifest)]
    mistakes = [mistake for mistake in read if isinstance(mistake, StoreError)]
    if mistakes and not manifests:
        raise mistakes[0]
    for mistake in mistakes:
        LOG.warning("skipped: %s", mistake)
    if not manifests:
        if begun := [sweep for sweep in store.folders() if store.exists(keys.sweep_file(sweep))]:
            status = shlex.join(["dreamsweep", "status", begun[0], "--store", store.uri])
            raise QueryError(
                f"store {store.uri!r}: sweep {begun[0]!r} has begun and nothing of it is published yet; trials appear once their "
                f"shard is done ({status} shows how far it is)."
            )
        run = f"dreamsweep run my-sweep.yaml --store {shlex.quote(store.uri)}"
        raise QueryError(f"store {store.uri!r} has no published sweep to ask; run one first: {run}.")
    return manifests


def _manifest_or_mistake(store: Store, sweep: str) -> Manifest | StoreError | None:
    """Reads a sweep's manifest; what is wrong with it where it is invalid; None where there is none."""
    try:
        manifest = read_manifest(store, sweep)
        return manifest and with_every_table(store, manifest)
    except StoreError as mistake:
        return mistake


def connect(
    store: Store, manifests: Sequence[Manifest], *, unsafe: bool = False, limits: Limits | None = None
) -> duckdb.DuckDBPyConnection:
    """Returns a DuckDB that can read these sweeps, and nothing else unless it is `unsafe`."""
    config: dict[str, Any] = {"autoinstall_known_extensions": False, "allow_persistent_secrets": unsafe}
    if limits:
        config |= {"memory_limit": limits.memory, "threads": limits.threads, "temp_directory": ""}
    connection = duckdb.connect(config=config)
    connection.execute("SET TimeZone = 'UTC'")
    connection.create_function("embed", embed, ["VARCHAR", "VARCHAR"], "FLOAT[]")
    if store.uri.startswith("s3://"):
        _read_s3(connection, store)
    if not unsafe:
        if store.uri.startswith("s3://"):
            _forget_environment(connection)
        lock(connection, store, manifests)
    return connection


OUTAGE = re.compile(
    r"establish connection|connection error|error for HTTP [A-Z]+ to|timed? ?out|HTTP (code )?5\d\d|Input/output error|Stale file handle",
    re.I,
)
"""Words by which DuckDB tells of a network or disk that failed, in an error that could also be a missing file's."""


def embed(text: str, judge: str) -> list[float]:
    """Returns the unit embedding of a text by the judge of that name, to be compared with the pictures' by `list_cosine_similarity`.

    Raises QueryError where there is no such judge.
    """
    from dreamsweep.perceptors import load_perceptor  # torch, which few questions need

    is_perceptor = judge in get_args(PerceptorName)
    if not is_perceptor and judge in judge_names():
        raise QueryError(
            f"embed: judge {judge!r} of another package embeds no texts; leave its rows out, as by WHERE perceptor <> {quoted(judge)}."
        )
    if not is_perceptor:
        raise QueryError(f"embed: there is no judge {judge!r}; give it the column judge_name.")
    perceptor = load_perceptor(cast(PerceptorName, judge), "cpu")
    key = (text, perceptor.sha256)
    if key not in _EMBEDDED:
        _EMBEDDED[key] = perceptor.embed_texts([text])[0].tolist()
    return _EMBEDDED[key]


_EMBEDDED: dict[tuple[str, str], list[float]] = {}
"""Vectors by text and hash of the perceptor's weights: a statement asks for the same text in every row."""


def httpfs_extension() -> Path:
    """DuckDB's S3 reader, as its package brings it. Raises QueryError when it is not there, or is for another DuckDB."""
    package = importlib.util.find_spec("duckdb_extension_httpfs")
    folders = package.submodule_search_locations if package else None
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
    options = ", ".join(f"{name} {quoted(value)}" for name, value in settings.items() if value)
    try:
        if bundle := os.environ.get("AWS_CA_BUNDLE"):
            connection.execute(f"SET ca_cert_file = {quoted(bundle)}")
        if is_loopback(endpoint.hostname or ""):
            connection.execute("SET http_proxy = ''")  # else DuckDB takes HTTP_PROXY, whatever NO_PROXY says
        # Characters of patterns stand for themselves, and no address can name another server: `s3://…?s3_endpoint=…`
        connection.execute("SET s3_url_compatibility_mode = true")
        connection.execute(f"CREATE SECRET (TYPE s3, {options})")
    except duckdb.Error:  # its own text would tell the secret
        raise StoreError(f"store {store.uri!r}: DuckDB cannot use its S3 settings; check AWS_ENDPOINT_URL and the region.") from None


def _forget_environment(connection: duckdb.DuckDBPyConnection) -> None:
    """Empties the settings that httpfs fills from the environment, as any statement can print them; the store has a secret of its own."""
    for name in ("s3_access_key_id", "s3_secret_access_key", "s3_session_token", "http_proxy_username", "http_proxy_password"):
        connection.execute(f"SET {name} = ''")


def _is_outage(error: duckdb.Error) -> bool:
    """Returns whether the store did not answer DuckDB, or failed by itself. A table that is missing, or may not be read, is no outage."""
    if isinstance(error, duckdb.HTTPException):
        status = int(getattr(error, "status_code", 0) or 0)
        return status >= 500 or status == 429
    return isinstance(error, duckdb.IOException) and bool(OUTAGE.search(str(error)))


def _broken_off(store: Store, error: duckdb.Error) -> StoreUnavailableError:
    return StoreUnavailableError(f"store {store.uri!r} broke off the query ({_first_line(error)}); ask again later.")


def _first_line(error: duckdb.Error) -> str:
    line = without_login(" ".join(str(error).split("\n")[0].split()).rstrip(".!"))
    return re.sub(r"(https?://[^/\s'\"]+)/[^\s'\"]+", r"\1/…", line)  # a path of the endpoint may be a token


def _sentence(error: duckdb.Error) -> str:
    """DuckDB's message on one line, without its drawing of the place, and what to do where that is plain."""
    if own := re.search(r"while executing the UDF: \w+Error: (.+)", str(error)):  # of `embed`, a sentence already
        return own[1]
    message, _, drawing = str(error).partition("\n\n")
    reason = " ".join(message.split()).rstrip(".!")
    line = drawing.split("\n")[0].strip() if drawing.startswith("LINE") else ""
    match error:
        case duckdb.CatalogException() if "Table with name" in reason:
            reason, cure = reason.split("! Did you mean")[0], f"the tables are {', '.join(TABLES)}"
        case duckdb.BinderException() if "not found in FROM clause" in reason or "Could not find key" in reason:
            cure = "DESCRIBE trials and DESCRIBE scores list the columns"
        case duckdb.PermissionException():
            cure = f"a query reads the published sweeps of the store and nothing else: for more, {UNSAFE}"
        case duckdb.ParserException():
            cure = f"correct the statement at {line!r}" if line else "correct the statement"
        case duckdb.IOException() | duckdb.HTTPException() | duckdb.InvalidInputException():
            cure = "if a table of the store is named, it is missing or damaged, and running its sweep again writes it anew"
        case _ if type(error) is duckdb.Error:  # of the Parquet reader: a header that cannot be read
            cure = "a table of the store is damaged: `dreamsweep verify` names it, and running its sweep again writes it anew"
        case duckdb.OutOfMemoryException():
            cure = "ask for fewer columns or rows, or SET memory_limit = …; before it, with --unsafe"
        case _:
            cure = "`DESCRIBE trials` lists the columns"
    return f"DuckDB refused the query: {reason}; {cure}."
