"""The few errors that verbs raise; `problems.py` renders each once, at the edge.

A verb says what happened; it knows nothing of HTTP beyond the status that the error's class carries.
Messages are for the person who sent the request: they name the field and the rule, never the value.
"""

from typing import ClassVar


class ExchangeError(Exception):
    """Base of all expected errors.

    `code` is stable and for machines, `detail` is for people, `at` is an RFC 6901 JSON pointer to the
    field that is meant ("" for the whole document), or None where no field is.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    default_code: ClassVar[str] = "internal-error"

    def __init__(self, detail: str = "", *, code: str = "", at: str | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.code = code or self.default_code
        self.at = at


class Malformed(ExchangeError):
    """The request cannot be read as what it claims to be."""

    status = 400
    title = "Malformed request"
    default_code = "malformed"


class Unauthenticated(ExchangeError):
    """No credential, or one that is unknown, expired or revoked: which of these is not said."""

    status = 401
    title = "Credentials required"
    default_code = "unauthenticated"


class Forbidden(ExchangeError):
    """The viewer is known and may not do this, whatever the object."""

    status = 403
    title = "Not permitted"
    default_code = "forbidden"


class NotFound(ExchangeError):
    """Absent, or invisible to the viewer: one answer for both."""

    status = 404
    title = "Not found"
    default_code = "not-found"


class MethodNotAllowed(ExchangeError):
    """The resource knows no such method; `allowed` are those it knows."""

    status = 405
    title = "Method not allowed"
    default_code = "method-not-allowed"

    def __init__(self, detail: str = "", *, allowed: tuple[str, ...] = (), code: str = "") -> None:
        super().__init__(detail, code=code)
        self.allowed = allowed


class NotAcceptable(ExchangeError):
    """No representation that the client accepts."""

    status = 406
    title = "Not acceptable"
    default_code = "not-acceptable"


class TooSlow(ExchangeError):
    """The request was not there in time."""

    status = 408
    title = "Request timeout"
    default_code = "too-slow"


class Conflict(ExchangeError):
    """The request contradicts what is already stored."""

    status = 409
    title = "Conflict"
    default_code = "conflict"


class Gone(ExchangeError):
    """What the request refers to was there and does not lead anywhere any more."""

    status = 410
    title = "Gone"
    default_code = "gone"


class TooLarge(ExchangeError):
    """More bytes, objects or depth than a request may have."""

    status = 413
    title = "Too large"
    default_code = "too-large"


class UnsupportedMedia(ExchangeError):
    """A media type or content encoding that is not read here."""

    status = 415
    title = "Unsupported media type"
    default_code = "unsupported-media-type"


class Refused(ExchangeError):
    """Readable, but against a rule of the exchange."""

    status = 422
    title = "Refused"
    default_code = "refused"


class HeadTooLarge(ExchangeError):
    """More bytes of headers than a request may have."""

    status = 431
    title = "Request header fields too large"
    default_code = "head-too-large"


class Unavailable(ExchangeError):
    """The store does not answer at the moment; nothing of the request was done. Try again."""

    status = 503
    title = "Try again in a moment"
    default_code = "unavailable"


class TooMany(ExchangeError):
    """Too many requests; `retry_after_s` says when to come back."""

    status = 429
    title = "Too many requests"
    default_code = "too-many-requests"

    def __init__(self, detail: str = "", *, retry_after_s: int = 1, code: str = "") -> None:
        super().__init__(detail, code=code)
        self.retry_after_s = retry_after_s
