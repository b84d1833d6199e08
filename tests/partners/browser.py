"""A browser without a screen: Django's client, with the few walks that tests about people repeat."""

from __future__ import annotations

import re
from html import unescape

from django.test import Client

from tests import build

PASSWORD = "correct horse battery"


def signed_in(user, *, confirmed: bool = True, csrf: bool = False) -> Client:
    client = Client(enforce_csrf_checks=csrf)
    build.sign_in(client, user, confirmed=confirmed)
    return client


def by_password(username: str, password: str = PASSWORD, *, client: Client | None = None, **more):
    """Sign in through the form; yields the client and the answer."""
    client = client or Client()
    return client, client.post("/account/login/", {"login": username, "password": password}, **more)


def is_signed_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def text(answer) -> str:
    return unescape(answer.content.decode())


def link_in(answer) -> str:
    """The path of the link that an answer shows once."""
    return re.search(r'id="link"[^>]*>[^<]*?(/account/invitation/[^<]+)<', text(answer))[1]


def accept(link: str, username: str, *, password: str = PASSWORD, client: Client | None = None):
    client = client or Client()
    token = link.partition("token=")[2]
    return client.post(
        "/account/invitation/", {"token": token, "username": username, "password": password, "again": password}
    )
