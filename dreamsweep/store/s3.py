"""A store in an S3 bucket, through boto3: endpoint and credentials from the usual places (environment, profile, role)."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import boto3
from boto3.exceptions import Boto3Error
from botocore import session as botocore_session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    FlexibleChecksumError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)

from dreamsweep.errors import StoreError
from dreamsweep.store import BYTES, RUN_FIRST, Entry, Unfinished, checked_key, without_login

ADDRESSING, ENCRYPTION = "DREAMSWEEP_S3_ADDRESSING", "DREAMSWEEP_S3_ENCRYPTION"
_QUICK = {"connect_timeout": 3, "read_timeout": 8, "retries": {"mode": "standard", "total_max_attempts": 2}}
_PATIENT = {"connect_timeout": 5, "read_timeout": 60, "retries": {"mode": "standard", "total_max_attempts": 6}}
"""Seconds and tries: of the first call, so that a mistaken endpoint shows within seconds, and of all others, which outlast a hiccup."""
PAGE = 1000
"""Keys that a listing asks for at a time; S3 gives no more."""
_MISSING = {"404", "NoSuchKey", "NotFound"}
_CHANGED = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict", *_MISSING}
"""Answers to a conditional write: another was first."""
_UNCONDITIONAL = {"501", "NotImplemented"}
"""Answers of servers that have no conditional writes."""
_BROKEN_OFF = (FlexibleChecksumError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
_UNANSWERED = (ConnectTimeoutError, EndpointConnectionError, SSLError, ReadTimeoutError)
_CURES = {
    "InvalidAccessKeyId": "access denied, as the server does not know the access key; check AWS_ACCESS_KEY_ID, or AWS_PROFILE",
    "SignatureDoesNotMatch": "access denied, as the secret does not belong to the access key; check AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "ExpiredToken": "access denied, as the credentials have expired; get new ones",
    "InvalidToken": "access denied, as the session token is not right; check AWS_SESSION_TOKEN, or unset it",
    "RequestTimeTooSkewed": "this machine's clock differs too much from the server's; set it right",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set AWS_DEFAULT_REGION to the bucket's",
    "PermanentRedirect": "the bucket is in another region; set AWS_DEFAULT_REGION to the bucket's",
    "301": "the bucket is in another region; set AWS_DEFAULT_REGION to the bucket's",
    "507": "the server's disk is full; free some space and run the same command again to go on",
    "QuotaExceeded": "the bucket's quota is used up; free some space and run the same command again to go on",
    "SlowDown": "the server is too busy; run the same command again later to go on",
    "503": "the server is too busy; run the same command again later to go on",
}
_DENIED = "access denied; give these credentials the right to list the bucket and to get, put and delete its objects, or use others"

T = TypeVar("T")


@dataclass(frozen=True)
class Access:
    """Where a bucket is and with what it opens; secrets do not show when it is printed."""

    endpoint: str
    region: str
    style: str
    """`path`, `virtual` or `auto`."""
    key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)


class S3Store:
    """A bucket, or a prefix in one (see `Store`). A PUT replaces an object in one step, which is all that publishing needs."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket, self.prefix = bucket, prefix
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self.encryption = _encryption(self.uri)
        self.session, self._quick, self.style = self._connect()
        self.endpoint = without_login(self._quick.meta.endpoint_url)
        """The server's address, as an error may tell it."""

    @cached_property
    def client(self) -> Any:
        """The boto3 client. Made at the first use, when it is also seen whether anyone answers at the endpoint."""
        try:
            self._quick.list_objects_v2(Bucket=self.bucket, Prefix=self._full(""), MaxKeys=1)
        except ClientError:
            pass  # an answer all the same: what it forbids may not be needed
        except BotoCoreError as error:
            raise StoreError(self._explain(error, "")) from None
        return self.session.client("s3", region_name=self._quick.meta.region_name, config=_config(self.style, _PATIENT))

    def write(self, key: str, data: bytes, content_type: str = BYTES) -> None:
        with self._sentences(key):
            self._put(key, data, content_type)

    def write_file(self, key: str, path: Path, content_type: str = BYTES) -> None:
        with self._sentences(key):
            told = {"ContentType": content_type, **self.encryption}
            self.client.upload_file(str(path), self.bucket, self._full(checked_key(key)), ExtraArgs=told)

    def version(self, key: str) -> str | None:
        with self._sentences(key):
            try:
                found: str = self.client.head_object(Bucket=self.bucket, Key=self._full(checked_key(key)))["ETag"]
            except ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise
            return found

    def replace(self, key: str, data: bytes, version: str | None, content_type: str = BYTES) -> bool:
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        with self._sentences(key):
            try:
                self._put(key, data, content_type, **condition)
            except ClientError as error:
                if _code(error) in _CHANGED:
                    return False
                if _code(error) not in _UNCONDITIONAL:
                    raise
                self._put(key, data, content_type)
            return True

    def read(self, key: str) -> bytes:
        def whole() -> bytes:
            body: bytes = self.client.get_object(Bucket=self.bucket, Key=self._full(checked_key(key)))["Body"].read()
            return body

        with self._sentences(key):
            return _again_when_broken_off(whole)

    def read_file(self, key: str, path: Path) -> None:
        with self._sentences(key):
            self.client.download_file(self.bucket, self._full(checked_key(key)), str(path))

    def exists(self, key: str) -> bool:
        return self.version(key) is not None

    def keys(self, prefix: str) -> Iterator[str]:
        return (entry.key for entry in self.entries(prefix))

    def entries(self, prefix: str) -> Iterator[Entry]:
        for page in self._pages("list_objects_v2", self._full(prefix)):
            for told in page.get("Contents", ()):
                yield Entry(told["Key"][len(self._full("")) :], told["Size"], told["LastModified"].timestamp())

    def folders(self) -> Iterator[str]:
        for page in self._pages("list_objects_v2", self._full(""), Delimiter="/"):
            for entry in page.get("CommonPrefixes", ()):
                yield entry["Prefix"][len(self._full("")) :].rstrip("/")

    def delete(self, key: str) -> None:
        with self._sentences(key):
            self.client.delete_object(Bucket=self.bucket, Key=self._full(checked_key(key)))

    def uri_of(self, key: str) -> str:
        return f"s3://{self.bucket}/{self._full(checked_key(key))}"

    def link(self, key: str, seconds: int) -> str:
        with self._sentences(key):
            asked = {"Bucket": self.bucket, "Key": self._full(checked_key(key))}
            address: str = self.session.client(
                "s3", region_name=self._quick.meta.region_name, config=_config(self.style, {"signature_version": "s3v4"})
            ).generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds)
            return address

    def unfinished(self) -> Iterator[Unfinished]:
        """Uploads in parts that were not completed; how large they are a listing does not tell."""
        for page in self._pages("list_multipart_uploads", self._full("")):
            for told in page.get("Uploads", ()):
                key = told["Key"][len(self._full("")) :]
                yield Unfinished(key, 0, told["Initiated"].timestamp(), partial(self._abort, key, told["UploadId"]))

    def check(self) -> None:
        for _ in self.keys(".dreamsweep-check"):  # tells more than HEAD, whose answer has no body
            break
        self.write(".dreamsweep-check", b"can this be written?", "text/plain")
        self.delete(".dreamsweep-check")

    def access(self) -> Access:
        """What another client of the same bucket, such as DuckDB's, must know. Raises StoreError when there are no credentials."""
        with self._sentences(""):
            found = self.session.get_credentials()
            if found is None:
                raise NoCredentialsError
            keys = found.get_frozen_credentials()
        meta = self._quick.meta
        return Access(meta.endpoint_url, meta.region_name, self.style, keys.access_key, keys.secret_key, keys.token or "")

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _abort(self, key: str, upload: str) -> None:
        with self._sentences(key):
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=self._full(key), UploadId=upload)

    def _put(self, key: str, data: bytes, content_type: str, **condition: str) -> None:
        where = {"Bucket": self.bucket, "Key": self._full(checked_key(key))}
        self.client.put_object(**where, Body=data, ContentType=content_type, **self.encryption, **condition)

    def _pages(self, listing: str, prefix: str, **how: str) -> Iterator[dict[str, Any]]:
        with self._sentences(""):
            pages = iter(
                self.client.get_paginator(listing).paginate(Bucket=self.bucket, Prefix=prefix, PaginationConfig={"PageSize": PAGE}, **how)
            )
        while True:
            with self._sentences(""):
                page = next(pages, None)
            if page is None:
                return
            yield page

    def _connect(self) -> tuple[boto3.Session, Any, str]:
        """Session, first client and style: addresses are path-style at an endpoint of one's own, unless environment or profile say how."""
        try:
            found = botocore_session.Session()
            session = boto3.Session(botocore_session=found)
            told = os.environ.get(ADDRESSING) or found.get_scoped_config().get("s3", {}).get("addressing_style")
            if told not in (None, "path", "virtual", "auto"):
                raise StoreError(f"store {self.uri!r}: {ADDRESSING} is {told!r}; set it to path, virtual or auto.")
            region = session.region_name or "us-east-1"
            client = session.client("s3", region_name=region, config=_config(told or "path", _QUICK))
            if told or ".amazonaws.com" not in client.meta.endpoint_url:
                return session, client, told or "path"
            return session, session.client("s3", region_name=region, config=_config("auto", _QUICK)), "auto"
        except (BotoCoreError, ValueError) as error:
            raise StoreError(
                f"store {self.uri!r}: the S3 settings cannot be used ({_one_line(error)}); check AWS_ENDPOINT_URL and AWS_PROFILE."
            ) from None

    @contextmanager
    def _sentences(self, key: str) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError, Boto3Error) as error:
            inner = error.__context__ if isinstance(error, Boto3Error) else None  # a transfer's error hides the server's
            raise StoreError(self._explain(inner if isinstance(inner, BotoCoreError | ClientError) else error, key)) from None

    def _explain(self, error: BaseException, key: str) -> str:
        asked = f"store {self.uri!r}"
        match error:
            case ClientError():
                return f"{asked}{self._explain_answer(_code(error), key)}"
            case NoCredentialsError() | PartialCredentialsError() | CredentialRetrievalError():
                return f"{asked}: no S3 credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
            case _ if isinstance(error, _UNANSWERED):
                reason = "its certificate is not trusted" if isinstance(error, SSLError) else type(error).__name__
                return f"{asked}: {self.endpoint} does not answer ({reason}); check AWS_ENDPOINT_URL and the network."
            case FlexibleChecksumError():
                return f"{asked}: {key!r} came with another checksum than it was stored with, each time; it, or the network, is damaged."
            case ParamValidationError():
                return f"{asked}: {key!r} is nothing that S3 can hold; check the bucket's name and the prefix."
            case _:
                return f"{asked}: {self.endpoint} broke off ({type(error).__name__}); check the network and run the same command again."

    def _explain_answer(self, code: str, key: str) -> str:
        if code == "NoSuchBucket" or (code in _MISSING and not key):
            return f": there is no bucket {self.bucket!r} at {self.endpoint}; create it, or name another with --store."
        if code in _MISSING:
            return f" holds no {key!r}; {RUN_FIRST}."
        if code in ("403", "AccessDenied", "AllAccessDisabled"):
            return f": {_DENIED}."
        cure = _CURES.get(code, f"{self.endpoint} refused it; look at the server's log, or try again later")
        return f": {cure} ({code}{f' for {key!r}' if key else ''})."


def _encryption(uri: str) -> dict[str, str]:
    """What every write asks of the server (DREAMSWEEP_S3_ENCRYPTION); nothing where the bucket's own default is to hold."""
    told = os.environ.get(ENCRYPTION, "").strip()
    if not told:
        return {}
    if told == "AES256":
        return {"ServerSideEncryption": told}
    if told == "aws:kms" or told.startswith("aws:kms:"):
        key = told.removeprefix("aws:kms").removeprefix(":")
        return {"ServerSideEncryption": "aws:kms", **({"SSEKMSKeyId": key} if key else {})}
    raise StoreError(f"store {uri!r}: {ENCRYPTION} is {told!r}; set it to AES256, aws:kms or aws:kms:KEY, or unset it.")


def _config(style: str, patience: dict[str, Any]) -> Config:
    return Config(s3={"addressing_style": style}, **patience)


def _again_when_broken_off(call: Callable[[], T]) -> T:
    """boto3 tries again when a request fails, but not when its answer breaks off; so this does, twice."""
    for _ in range(2):
        try:
            return call()
        except _BROKEN_OFF:
            continue
    return call()


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _one_line(error: Exception) -> str:
    return without_login(" ".join(str(error).split())).rstrip(".")
