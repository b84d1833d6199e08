"""Where mail goes, from one variable."""

from pathlib import Path

import pytest

from exchange import env

BACKENDS = "django.core.mail.backends"


def read(monkeypatch, url):
    monkeypatch.setenv("EMAIL_URL", url)
    return env.mailer("EMAIL_URL", "smtp://localhost")


@pytest.mark.parametrize(
    ("url", "port", "tls", "ssl"),
    [
        ("smtp://mail.example", 25, False, False),
        ("smtp+tls://u%40x:p%2Fw@mail.example", 587, True, False),
        ("smtps://u:p@mail.example:4465", 4465, False, True),
    ],
)
def test_a_server(monkeypatch, url, port, tls, ssl):
    made = read(monkeypatch, url)
    assert made["BACKEND"] == f"{BACKENDS}.smtp.EmailBackend"
    options = made["OPTIONS"]
    assert (options["host"], options["port"], options["use_tls"], options["use_ssl"]) == (
        "mail.example",
        port,
        tls,
        ssl,
    )
    if tls:
        assert (options["username"], options["password"]) == ("u@x", "p/w")


def test_files_and_the_console(monkeypatch):
    assert read(monkeypatch, "file:///tmp/mail")["OPTIONS"]["file_path"] == Path("/tmp/mail")
    assert read(monkeypatch, "console:")["BACKEND"] == f"{BACKENDS}.console.EmailBackend"
    assert read(monkeypatch, "")["OPTIONS"]["host"] == "localhost"


@pytest.mark.parametrize("url", ["mail.example", "http://mail.example", "smtp://", "file://mail", "smtp://x:port"])
def test_a_wrong_value_stops_the_start(monkeypatch, url):
    with pytest.raises(env.BadEnvironment, match="EMAIL_URL"):
        read(monkeypatch, url)
