"""An option that narrows is refused where it is given and empty, by both commands, before anything is asked."""

import pytest
from typer.testing import CliRunner

from exchange.agent.cli import app as agent
from exchange.client.api import Client
from exchange.client.cli import app
from exchange.client.errors import Unusable

ENVIRONMENT = {"EXCHANGE_URL": "http://127.0.0.1:1", "EXCHANGE_API_KEY": "exk_x", "COLUMNS": "200"}


@pytest.mark.parametrize(
    ("of", "line"),
    [
        (app, "appeals --keep EMPTY"),
        (app, "appeals --revoke EMPTY"),
        (app, "blocklist EMPTY"),
        (app, "blocklist all --kind EMPTY"),
        (app, "blocklist all --filter EMPTY"),
        (app, "changes --kind EMPTY"),
        (app, "export -o - --feed EMPTY"),
        (app, "export -o - --id EMPTY"),
        (app, "export -o - --type EMPTY"),
        (app, "feeds addresses EMPTY"),
        (app, "preview --feed EMPTY"),
        (app, "recall --detector EMPTY --since 2026-11-28T10:00:00Z"),
        (app, "search --publisher EMPTY"),
        (app, "subscribe https://receiver.example/hook --feed EMPTY"),
        (agent, "sync --once -o LIST --feed EMPTY"),
        (agent, "sync --once -o LIST --kind EMPTY"),
        (agent, "release -o LIST --publisher EMPTY"),
        (agent, "disarm -o LIST --feed EMPTY"),
        (agent, "rearm -o LIST --publisher EMPTY"),
        (agent, "listed net 198.51.100.7 --feed EMPTY"),
    ],
)
def test_an_empty_option_is_refused(tmp_path, of, line):
    words = {"EMPTY": "", "LIST": str(tmp_path / "list.txt")}
    result = CliRunner().invoke(of, [words.get(word, word) for word in line.split()], env=ENVIRONMENT)
    assert (result.exit_code, "It is empty" in result.output) == (2, True), result.output


def test_a_feed_that_is_no_id_is_refused_before_it_is_asked_for(tmp_path):
    asked = ["sync", "--once", "-o", str(tmp_path / "list.txt"), "--feed", "everything"]
    with pytest.raises(Unusable, match="everything is no feed"):
        CliRunner().invoke(agent, asked, env=ENVIRONMENT, catch_exceptions=False)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.changes(feed=""),
        lambda client: client.delta(feed=""),
        lambda client: client.snapshot("", on_row=print),
        lambda client: client.blocklist(""),
        lambda client: client.preview_feed("kind:account-pattern", feed=" "),
        lambda client: client.stream_bundle(print, feed=""),
        lambda client: client.list_addresses(""),
        lambda client: client.range_head(""),
    ],
)
def test_the_client_takes_no_empty_feed(call):
    with Client("http://127.0.0.1:1", "exk_x") as client, pytest.raises(Unusable, match="Which feed"):
        call(client)
