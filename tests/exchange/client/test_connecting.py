"""`exchange connections`, as it is typed: what is given and empty is refused, and a credential is sent as it was meant."""

import base64

import pytest
from typer.testing import CliRunner

from exchange.client import cli, connecting
from exchange.client.api import Client
from exchange.client.errors import Unusable

PUSH = ("connections", "push", "out", "https://taxii.example/api1/collections/c/")


@pytest.fixture
def typed(monkeypatch):
    """Type a command; nothing may be sent."""

    def sent(*_args, **_more):
        raise AssertionError("it was sent")

    monkeypatch.setenv("EXCHANGE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("EXCHANGE_API_KEY", "exk_x")
    monkeypatch.setattr(Client, "_call", sent)
    return lambda *words: CliRunner().invoke(cli.app, list(words))


@pytest.mark.parametrize(
    "words",
    [
        (*PUSH, "--feed", ""),
        (*PUSH, "--strictest", ""),
        ("connections", "pull", "in", "https://taxii.example/", "--tlp", " "),
        ("connections", "change", "in", "--feed", "", "--name", "other"),
        ("connections", "change", "in", "--name", ""),
    ],
)
def test_an_option_that_is_given_and_empty_is_refused(typed, words):
    said = typed(*words)
    assert said.exit_code == 2
    assert "empty" in said.stderr


@pytest.mark.parametrize(
    ("said", "header"),
    [
        ("token", "Bearer token"),
        ("user:pass", "Basic " + base64.b64encode(b"user:pass").decode()),
        ("user:pass word", "Basic " + base64.b64encode(b"user:pass word").decode()),
        ("Token abc:def", "Token abc:def"),
        ("Bearer abc", "Bearer abc"),
    ],
)
def test_a_credential_stands_for_a_header(tmp_path, said, header):
    (tmp_path / "credential").write_text(f"{said}\n")
    assert connecting._authorization(tmp_path / "credential") == header


@pytest.mark.parametrize("misp", [True, False])
def test_an_empty_file_of_a_credential_is_refused(tmp_path, misp):
    (tmp_path / "credential").write_text("\n")
    with pytest.raises(Unusable, match="is empty"):
        connecting._authorization(tmp_path / "credential", misp=misp)


def test_a_subscription_to_an_empty_feed_is_refused(typed):
    with Client("http://127.0.0.1:1", "exk_x") as client, pytest.raises(Unusable, match="Which feed"):
        client.subscribe("https://aster.example/hook", feed="")
