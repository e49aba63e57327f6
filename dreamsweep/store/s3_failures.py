"""Failures of S3: which of them may pass by themselves, and a sentence about each."""

import re
from dataclasses import dataclass

from boto3.exceptions import Boto3Error, RetriesExceededError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from dreamsweep.errors import DamagedError, DreamsweepError, StoreError, StoreUnavailableError
from dreamsweep.store import RUN_FIRST, without_login

MISSING = {"404", "NoSuchKey", "NotFound"}
CHANGED = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict", *MISSING}
"""Error codes of a conditional write that lost against another."""
UNCONDITIONAL = {"501", "NotImplemented"}
"""Error codes of servers that do not support a request, such as a conditional write or a list of uploads."""
BROKEN_OFF = (FlexibleChecksumError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
_UNANSWERED = (HTTPClientError, BotoConnectionError)
_BUSY = {"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded", "429", "503"}
_FAILED = {"InternalError", "RequestTimeout", "OperationAborted", "BadDigest", "IncompleteBody", "500", "502", "504"}
"""Transient error codes, worth a retry: the server is busy, or the connection broke. Other 5xx answers count as transient too."""
_NOT_TRANSIENT = {"507", "QuotaExceeded", *UNCONDITIONAL}
_CURES = {
    "InvalidAccessKeyId": "access denied, as the server does not know the access key; check AWS_ACCESS_KEY_ID, or AWS_PROFILE",
    "SignatureDoesNotMatch": "access denied, as the secret does not belong to the access key; check AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "ExpiredToken": "access denied, as the credentials have expired; get new ones",
    "InvalidToken": "access denied, as the session token is not right; check AWS_SESSION_TOKEN, or unset it",
    "RequestTimeTooSkewed": "this machine's clock differs too much from the server's; set it right",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set AWS_DEFAULT_REGION to the bucket's",
    "PermanentRedirect": "the bucket is in another region; set AWS_DEFAULT_REGION to the bucket's",
    "301": "the bucket is in another region; set AWS_DEFAULT_REGION to the bucket's",
    **dict.fromkeys(UNCONDITIONAL, "the server does not support this request; remains of interrupted uploads, say, are then not listed"),
    "507": "the server's disk is full; free some space and run the same command again to go on",
    "QuotaExceeded": "the bucket's quota is used up; free some space and run the same command again to go on",
}
_DENIED = "access denied; give these credentials the right to list the bucket and to get, put and delete its objects, or use others"


@dataclass(frozen=True)
class Bucket:
    """A bucket as sentences name it."""

    uri: str
    name: str
    endpoint: str
    """The server's URL, without a login."""

    def explain(self, error: BaseException, key: str, known: bool) -> str:
        """Returns the sentence about a failure with a key; `known`: the endpoint has answered this process before."""
        prefix = f"store {self.uri!r}"
        match error:
            case ClientError():
                return f"{prefix}{self._explain_answer(error_code(error), key)}"
            case CredentialRetrievalError() if known:
                return f"{prefix}: its credentials cannot be renewed ({one_line(error)}); look at what gives them to this machine."
            case NoCredentialsError() | PartialCredentialsError() | CredentialRetrievalError():
                return f"{prefix}: no S3 credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
            case SSLError() if _is_distrusted(error):
                return (
                    f"{prefix}: {self.endpoint} does not answer (its certificate is not trusted); check AWS_ENDPOINT_URL and the network, "
                    "or set AWS_CA_BUNDLE to the certificates to trust."
                )
            case _ if isinstance(error, _UNANSWERED) and not isinstance(error, ResponseStreamingError):
                return f"{prefix}: {self.endpoint} does not answer ({type(error).__name__}); check AWS_ENDPOINT_URL and the network."
            case FlexibleChecksumError():
                return f"{prefix}: {key!r} came with another checksum than it was stored with, each time; it, or the network, is damaged."
            case ParamValidationError():
                return f"{prefix}: {key!r} is nothing that S3 can hold; check the bucket's name and the prefix."
            case _:
                return f"{prefix}: {self.endpoint} broke off ({type(error).__name__}); check the network and run the same command again."

    def _explain_answer(self, code: str, key: str) -> str:
        if code == "NoSuchBucket" or (code in MISSING and not key):
            return f": there is no bucket {self.name!r} at {self.endpoint}; create it, or name another with --store."
        if code in MISSING:
            return f" holds no {key!r}; {RUN_FIRST}."
        if code in ("403", "AccessDenied", "AllAccessDisabled"):
            return f": {_DENIED}."
        if code in _BUSY:
            return f": {self.endpoint} is too busy ({code}{f' for {key!r}' if key else ''}); run the same command again later."
        cure = _CURES.get(code, f"{self.endpoint} refused it; look at the server's log, or try again later")
        return f": {cure} ({code}{f' for {key!r}' if key else ''})."


def is_transient(error: BaseException, endpoint_is_known: bool) -> bool:
    """Returns whether a failure may pass by itself; those of credentials may where the endpoint has answered before."""
    match error:
        case ClientError():
            code, status = error_code(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return code not in _NOT_TRANSIENT and (code in _BUSY or code in _FAILED or status >= 500)
        case MetadataRetrievalError() | CredentialRetrievalError():
            return endpoint_is_known
        case SSLError():
            return not _is_distrusted(error)
        case FlexibleChecksumError():
            return False  # three times the same: the object itself is damaged
        case _:
            return isinstance(error, (*_UNANSWERED, *BROKEN_OFF, RetriesExceededError))


class UnsupportedError(StoreError):
    """Request that this S3 server does not implement."""


def kind_of(error: BaseException, endpoint_is_known: bool) -> type[DreamsweepError]:
    """Returns the kind of a failure: transient, a damaged object, a request that the server lacks, or what the user can fix."""
    if is_transient(error, endpoint_is_known):
        return StoreUnavailableError
    if isinstance(error, FlexibleChecksumError):
        return DamagedError
    unsupported = isinstance(error, ClientError) and error_code(error) in UNCONDITIONAL
    return UnsupportedError if unsupported else StoreError


def inner_error(error: BaseException) -> BaseException:
    """Returns the server's error that a transfer's error wraps."""
    inner = (
        error.last_exception if isinstance(error, RetriesExceededError) else error.__context__ if isinstance(error, Boto3Error) else None
    )
    return inner if isinstance(inner, BotoCoreError | ClientError) else error


def _is_distrusted(error: SSLError) -> bool:
    return "certificate" in str(error).lower()


def error_code(error: ClientError) -> str:
    """Returns the code of a server's answer, such as `NoSuchKey`; empty where it has none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def one_line(error: Exception) -> str:
    """Returns an error's text on one line, without logins and without what stands after the server in an endpoint, which may be a token."""
    text = without_login(" ".join(str(error).split())).rstrip(".")
    return _ENDPOINT.sub(lambda match: f"{match[1]}/…", text)


_ENDPOINT = re.compile(r"(endpoint(?: URL)?: \"?(?:\w+://)?[^/\s\"]*)/[^\s\"]+")
