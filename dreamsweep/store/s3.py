"""A store in an S3 bucket, through boto3: endpoint and credentials from the usual places."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from dreamsweep.errors import StoreError

_MISSING = {"404", "NoSuchKey", "NotFound"}
_DENIED = {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "AllAccessDisabled"}


class S3Store:
    """A bucket, or a prefix in one (see `Store`). A PUT replaces an object in one step, which is all that publishing needs."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket, self.prefix = bucket, prefix
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self.client = make_client(self.uri)

    def write(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        with self._sentences(key):
            self.client.put_object(Bucket=self.bucket, Key=self._full(key), Body=data, ContentType=content_type)

    def write_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        with self._sentences(key):
            self.client.upload_file(str(path), self.bucket, self._full(key), ExtraArgs={"ContentType": content_type})

    def read(self, key: str) -> bytes:
        with self._sentences(key):
            body: bytes = self.client.get_object(Bucket=self.bucket, Key=self._full(key))["Body"].read()
            return body

    def read_file(self, key: str, path: Path) -> None:
        with self._sentences(key):
            self.client.download_file(self.bucket, self._full(key), str(path))

    def exists(self, key: str) -> bool:
        with self._sentences(key):
            try:
                self.client.head_object(Bucket=self.bucket, Key=self._full(key))
            except ClientError as error:
                if _code(error) in _MISSING:
                    return False
                raise
            return True

    def keys(self, prefix: str) -> Iterator[str]:
        start = self._full("")
        with self._sentences(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._full(prefix))
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield entry["Key"][len(start) :]

    def folders(self) -> Iterator[str]:
        start = self._full("")
        with self._sentences(""):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start, Delimiter="/")
            for page in pages:
                for entry in page.get("CommonPrefixes", ()):
                    yield entry["Prefix"][len(start) :].rstrip("/")

    def delete(self, key: str) -> None:
        with self._sentences(key):
            self.client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def uri_of(self, key: str) -> str:
        return f"s3://{self.bucket}/{self._full(key)}"

    def check(self) -> None:
        with self._sentences(""):
            self.client.head_bucket(Bucket=self.bucket)
        self.write(".dreamsweep-check", b"can this be written?", "text/plain")
        self.delete(".dreamsweep-check")

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    @contextmanager
    def _sentences(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise StoreError(self._explain(error, key)) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise StoreError(
                f"store {self.uri!r}: no S3 credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile."
            ) from None
        except (BotoCoreError, Boto3Error) as error:
            if isinstance(error.__cause__, ClientError):
                raise StoreError(self._explain(error.__cause__, key)) from None
            endpoint = self.client.meta.endpoint_url
            raise StoreError(
                f"store {self.uri!r}: {endpoint} does not answer ({type(error).__name__}); check AWS_ENDPOINT_URL and the network."
            ) from None

    def _explain(self, error: ClientError, key: str) -> str:
        code = _code(error)
        if code == "NoSuchBucket" or (code in _MISSING and not key):
            return f"store {self.uri!r}: there is no bucket {self.bucket!r} at {self.client.meta.endpoint_url}; create it, or name another with --store."
        if code in _MISSING:
            return f"store {self.uri!r} holds no {key!r}; run the sweep first, or name another store with --store."
        if code in _DENIED:
            return f"store {self.uri!r}: access denied ({code}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do with the bucket."
        return f"store {self.uri!r}: the server answered {code} for {key!r}; try again, or look at the server's log."


def make_client(uri: str) -> Any:
    """An S3 client with time limits, and path-style addresses wherever an endpoint is named (DREAMSWEEP_S3_ADDRESSING overrides)."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    style = os.environ.get("DREAMSWEEP_S3_ADDRESSING") or ("path" if endpoint else "auto")
    config = Config(
        connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3}, s3={"addressing_style": style}
    )
    try:
        session = boto3.Session()
        return session.client("s3", config=config, region_name=session.region_name or "us-east-1")
    except (BotoCoreError, ValueError) as error:
        raise StoreError(f"store {uri!r}: the S3 settings cannot be used ({error}); check AWS_ENDPOINT_URL and AWS_PROFILE.") from None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
