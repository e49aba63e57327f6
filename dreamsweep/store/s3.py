"""A store in an S3 bucket, through boto3: endpoint and credentials from the usual places (environment, profile, role)."""

import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property, partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import boto3
from boto3.exceptions import Boto3Error
from botocore import session as botocore_session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
)

from dreamsweep.environment import bypass_proxies_on_loopback
from dreamsweep.errors import DreamsweepError, StoreError, StoreUnavailableError
from dreamsweep.retry import Patience, store_seconds
from dreamsweep.store import BYTES, Entry, Unfinished, checked_key, is_key, without_path
from dreamsweep.store.s3_conditions import ConditionalWrites, Conditions, try_conditions
from dreamsweep.store.s3_failures import (
    BROKEN_OFF,
    CHANGED,
    MISSING,
    Bucket,
    UnsupportedError,
    error_code,
    inner_error,
    kind_of,
    one_line,
)
from dreamsweep.store.s3_lock import lock_of

ADDRESSING, ENCRYPTION = "DREAMSWEEP_S3_ADDRESSING", "DREAMSWEEP_S3_ENCRYPTION"
_QUICK = {"connect_timeout": 3, "read_timeout": 8, "retries": {"mode": "standard", "total_max_attempts": 2}}
_PATIENT = {"connect_timeout": 5, "read_timeout": 60, "retries": {"mode": "standard", "total_max_attempts": 3}}
"""Timeouts and retries: short for a process's first call, so that a wrong endpoint shows within seconds, and long for all others, which
`Patience` tries again."""
PAGE = 1000
"""Keys that a listing asks for at a time; S3 gives no more."""
_probed = set[str]()
"""Endpoints that this process has probed with the impatient client. A fork inherits them."""
_reached = set[str]()
"""Endpoints that have answered this process. Only one that never has is taken for a mistake of the user's (`S3Store.check`)."""
LOG = logging.getLogger(__name__)
NEXT_KEYS = {"ContinuationToken": "NextContinuationToken"}
NEXT_UPLOADS = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}
_conditional: dict[tuple[str, str], Conditions] = {}
"""What each endpoint does with conditions, by bucket, as far as this process has tried."""
T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True)
class Access:
    """Endpoint and credentials of a bucket; secrets do not show when it is printed."""

    endpoint: str
    region: str
    style: str
    """`path`, `virtual` or `auto`."""
    key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)


def _patient(operation: "Callable[Concatenate[S3Store, P], T]") -> "Callable[Concatenate[S3Store, P], T]":
    """Lets an operation wait for an outage to end, on an endpoint that has answered this process before."""

    @wraps(operation)
    def waiting(store: "S3Store", /, *arguments: P.args, **named: P.kwargs) -> T:
        if store.endpoint not in _reached:
            return operation(store, *arguments, **named)
        return store.patience.outlast(lambda: operation(store, *arguments, **named))

    return waiting


@cache
def _patience(endpoint: str, limit: float) -> Patience:
    """Returns the patience with an endpoint, shared by its stores, so that an outage is said once."""
    return Patience(limit)


class S3Store:
    """A bucket, or a prefix in one (see `Store`). A PUT replaces an object in one step, which is all that publishing needs."""

    def __init__(self, bucket: str, prefix: str, patience: float | None = None) -> None:
        bypass_proxies_on_loopback()
        self.bucket, self.prefix = bucket, prefix
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self.encryption = _encryption(self.uri)
        self.session, self._quick, self.style = self._connect()
        self.endpoint = without_path(self._quick.meta.endpoint_url)
        """The server's URL without a login and a path, which may be a token: safe for error messages."""
        self.patience = _patience(self.endpoint, store_seconds() if patience is None else patience)

    @cached_property
    def client(self) -> Any:
        """Returns the boto3 client with long timeouts and retries. A process's first call first checks that the endpoint answers."""
        if self.endpoint not in _probed:
            try:
                self._quick.list_objects_v2(Bucket=self.bucket, Prefix=self._full(""), MaxKeys=1)
            except ClientError:
                pass  # an answer all the same: what it forbids may not be needed
            finally:
                _probed.add(self.endpoint)
            _reached.add(self.endpoint)
        return self.session.client("s3", region_name=self._quick.meta.region_name, config=_config(self.style, _PATIENT))

    @_patient
    def write(self, key: str, data: bytes, content_type: str = BYTES) -> None:
        with self._sentences(key):
            self._put(key, data, content_type)

    @_patient
    def write_file(self, key: str, path: Path, content_type: str = BYTES) -> None:
        with self._sentences(key):
            options = {"ContentType": content_type, **self.encryption}
            self.client.upload_file(str(path), self.bucket, self._full(checked_key(key)), ExtraArgs=options)

    @_patient
    def version(self, key: str) -> str | None:
        with self._sentences(key):
            try:
                etag: str = self.client.head_object(Bucket=self.bucket, Key=self._full(checked_key(key)))["ETag"]
            except ClientError as error:
                if error_code(error) in MISSING:
                    return None
                raise
            return etag

    def replace(self, key: str, data: bytes, version: str | None, content_type: str = BYTES) -> bool:
        if self.conditional_writes() == "kept":
            return self._replace_if(key, data, version, content_type)
        return self._replace_in_turn(key, data, version, content_type)

    @_patient
    def _replace_if(self, key: str, data: bytes, version: str | None, content_type: str) -> bool:
        with self._sentences(key):
            try:
                self._put(key, data, content_type, **self._conditions().on(version))
            except ClientError as error:
                if error_code(error) in CHANGED:
                    return False
                raise
            return True

    @_patient
    def _replace_in_turn(self, key: str, data: bytes, version: str | None, content_type: str) -> bool:
        def write() -> None:
            with self._sentences(key):  # with short timeouts, so that it ends before the lease expires
                self._quick.put_object(Bucket=self.bucket, Key=self._full(key), Body=data, ContentType=content_type, **self.encryption)

        return lock_of(self, key).replace(self, key, version, write)

    def conditional_writes(self) -> ConditionalWrites:
        """Returns what the server does with If-Match and If-None-Match."""
        return self._conditions().writes

    def _conditions(self) -> Conditions:
        """Returns the same with how versions are written, tried once in a process with a small object that is removed again.

        Where these credentials may not write such an object, the server is taken to keep the conditions, as most do.
        """
        known = (self.endpoint, self.bucket)
        if known not in _conditional:
            try:
                _conditional[known] = self._try_conditions()
            except StoreError:
                _conditional[known] = Conditions("kept")
        return _conditional[known]

    @_patient
    def _try_conditions(self) -> Conditions:
        key = f".dreamsweep-check-{secrets.token_hex(8)}"
        with self._sentences(""):
            try:
                self._put(key, b"are conditions kept?", "text/plain")
                return try_conditions(lambda **condition: self._put(key, b"are conditions kept?", "text/plain", **condition))
            finally:
                with suppress(BotoCoreError, ClientError):
                    self.client.delete_object(Bucket=self.bucket, Key=self._full(key))

    @_patient
    def read(self, key: str) -> bytes:
        with self._sentences(key):
            return self._body(key)

    @_patient
    def get(self, key: str) -> bytes | None:
        with self._sentences(key):
            try:
                return self._body(key)
            except ClientError as error:
                if error_code(error) in MISSING:
                    return None
                raise

    @_patient
    def read_file(self, key: str, path: Path) -> None:
        with self._sentences(key):
            _again_when_broken_off(lambda: self.client.download_file(self.bucket, self._full(checked_key(key)), str(path)))

    def exists(self, key: str) -> bool:
        return self.version(key) is not None

    def keys(self, prefix: str) -> Iterator[str]:
        return (entry.key for entry in self.entries(prefix))

    def entries(self, prefix: str) -> Iterator[Entry]:
        for page in self._pages("list_objects_v2", self._full(prefix), NEXT_KEYS, "MaxKeys"):
            for listed in page.get("Contents", ()):
                if is_key(key := listed["Key"][len(self._full("")) :]):  # other programs' objects, such as `folder/`, are no keys of ours
                    yield Entry(key, listed["Size"], listed["LastModified"].timestamp())

    def folders(self) -> Iterator[str]:
        for page in self._pages("list_objects_v2", self._full(""), NEXT_KEYS, "MaxKeys", Delimiter="/"):
            for entry in page.get("CommonPrefixes", ()):
                if is_key(name := entry["Prefix"][len(self._full("")) :].removesuffix("/")):
                    yield name

    @_patient
    def delete(self, key: str) -> None:
        with self._sentences(key):
            self.client.delete_object(Bucket=self.bucket, Key=self._full(checked_key(key)))

    def uri_of(self, key: str) -> str:
        return f"s3://{self.bucket}/{self._full(checked_key(key))}"

    def link(self, key: str, seconds: int) -> str:
        with self._sentences(key, asks_server=False):
            target = {"Bucket": self.bucket, "Key": self._full(checked_key(key))}
            address: str = self.session.client(
                "s3", region_name=self._quick.meta.region_name, config=_config(self.style, {"signature_version": "s3v4"})
            ).generate_presigned_url("get_object", Params=target, ExpiresIn=seconds)
            return address

    def unfinished(self) -> Iterator[Unfinished]:
        """Lists incomplete multipart uploads; S3 does not report their sizes. Lists none, with a warning, where the server cannot."""
        pages = self._pages("list_multipart_uploads", self._full(""), NEXT_UPLOADS, "MaxUploads")
        while True:
            try:
                page = next(pages, None)
            except UnsupportedError as error:
                LOG.warning("%s", error)
                return
            if page is None:
                return
            for upload in page.get("Uploads", ()):
                key = upload["Key"][len(self._full("")) :]
                yield Unfinished(key, 0, upload["Initiated"].timestamp(), partial(self._abort, key, upload["UploadId"]))

    def check(self) -> None:
        try:
            self._check()
        except StoreUnavailableError as error:
            if self.endpoint in _reached:
                raise
            raise StoreError(str(error)) from None  # nothing was ever reached there: most likely a wrong address

    def _check(self) -> None:
        for _ in self.keys(".dreamsweep-check"):  # tells more than HEAD, whose answer has no body
            break
        self.write(".dreamsweep-check", b"can this be written?", "text/plain")
        self.delete(".dreamsweep-check")

    def access(self) -> Access:
        """Returns endpoint and credentials for another client, such as DuckDB's. Raises StoreError if there are no credentials."""
        with self._sentences("", asks_server=False):
            credentials = self.session.get_credentials()
            if credentials is None:
                raise NoCredentialsError
            keys = credentials.get_frozen_credentials()
        meta = self._quick.meta
        return Access(meta.endpoint_url, meta.region_name, self.style, keys.access_key, keys.secret_key, keys.token or "")

    def _body(self, key: str) -> bytes:
        def whole() -> bytes:
            body: bytes = self.client.get_object(Bucket=self.bucket, Key=self._full(checked_key(key)))["Body"].read()
            return body

        return _again_when_broken_off(whole)

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    @_patient
    def _abort(self, key: str, upload: str) -> None:
        with self._sentences(key):
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=self._full(key), UploadId=upload)

    def _put(self, key: str, data: bytes, content_type: str, **condition: str) -> str:
        where = {"Bucket": self.bucket, "Key": self._full(checked_key(key))}
        answer = self.client.put_object(**where, Body=data, ContentType=content_type, **self.encryption, **condition)
        etag: str = answer.get("ETag", "")
        return etag

    def _pages(self, listing: str, prefix: str, marks: Mapping[str, str], size: str, **how: str) -> Iterator[dict[str, Any]]:
        """Yields the pages of a listing. `marks`, `size`: names of where the next page begins, and of its size.

        botocore's own paginator ends at a failure; here a page is asked for again.
        """
        begin: dict[str, str] = {}
        while True:
            page = self._page(listing, {"Bucket": self.bucket, "Prefix": prefix, size: PAGE, **how, **begin})
            yield page
            begin = {name: page[field] for name, field in marks.items() if page.get(field)}
            if not page.get("IsTruncated") or not begin:
                return

    @_patient
    def _page(self, listing: str, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._sentences(""):
            page: dict[str, Any] = getattr(self.client, listing)(**request)
            return page

    def _connect(self) -> tuple[boto3.Session, Any, str]:
        """Returns session, first client and addressing style. A custom endpoint gets path style, unless environment or profile set one."""
        try:
            settings = botocore_session.Session()
            session = boto3.Session(botocore_session=settings)
            style = os.environ.get(ADDRESSING) or settings.get_scoped_config().get("s3", {}).get("addressing_style")
            if style not in (None, "path", "virtual", "auto"):
                raise StoreError(f"store {self.uri!r}: {ADDRESSING} is {style!r}; set it to path, virtual or auto.")
            region = session.region_name or "us-east-1"
            client = session.client("s3", region_name=region, config=_config(style or "path", _QUICK))
            if style or ".amazonaws.com" not in client.meta.endpoint_url:
                return session, client, style or "path"
            return session, session.client("s3", region_name=region, config=_config("auto", _QUICK)), "auto"
        except (BotoCoreError, ValueError) as error:
            raise StoreError(
                f"store {self.uri!r}: the S3 settings cannot be used ({one_line(error)}); check AWS_ENDPOINT_URL and AWS_PROFILE."
            ) from None

    @contextmanager
    def _sentences(self, key: str, asks_server: bool = True) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError, Boto3Error) as error:
            raise self._explained(inner_error(error), key) from None
        if asks_server:
            _reached.add(self.endpoint)

    def _explained(self, error: BaseException, key: str) -> DreamsweepError:
        """Returns a transient failure as StoreUnavailableError, any other as StoreError."""
        known = self.endpoint in _reached  # else credentials that cannot be retrieved are more likely set up wrongly
        if isinstance(error, ClientError):
            _reached.add(self.endpoint)
        return kind_of(error, known)(Bucket(self.uri, self.bucket, self.endpoint).explain(error, key, known))


def _encryption(uri: str) -> dict[str, str]:
    """Returns the encryption options of every write (DREAMSWEEP_S3_ENCRYPTION); empty for the bucket's own default."""
    encryption = os.environ.get(ENCRYPTION, "").strip()
    if not encryption:
        return {}
    if encryption == "AES256":
        return {"ServerSideEncryption": encryption}
    if encryption == "aws:kms" or encryption.startswith("aws:kms:"):
        key = encryption.removeprefix("aws:kms").removeprefix(":")
        return {"ServerSideEncryption": "aws:kms", **({"SSEKMSKeyId": key} if key else {})}
    raise StoreError(f"store {uri!r}: {ENCRYPTION} is {encryption!r}; set it to AES256, aws:kms or aws:kms:KEY, or unset it.")


def _config(style: str, patience: dict[str, Any]) -> Config:
    return Config(s3={"addressing_style": style}, **patience)


def _again_when_broken_off(call: Callable[[], T]) -> T:
    """Retries a request twice when its answer breaks off or is damaged; boto3 itself retries only failed requests."""
    for _ in range(2):
        try:
            return call()
        except BROKEN_OFF:
            continue
    return call()
