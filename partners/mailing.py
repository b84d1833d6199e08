"""Tell a person something by e-mail: after the transaction, and never so that its failing undoes anything."""

from __future__ import annotations

from smtplib import SMTPException

from django.core.mail import send_mail
from django.db import transaction
from structlog import get_logger

from exchange import counting

log = get_logger()


def tell(address: str, *, subject: str, text: str) -> None:
    """Send a plain message once the transaction is committed; a failure is logged without its content."""

    def send() -> None:
        try:
            send_mail(subject, text, None, [address])
        except (OSError, SMTPException) as error:
            log.warning("mail.failed", subject=subject, error=type(error).__name__)
            counting.MAILS.labels("failed").inc()
        else:
            counting.MAILS.labels("sent").inc()

    transaction.on_commit(send)
