"""A snapshot is the reader's set as one file: whole, tagged, in ranges, and not served once something in it was lost."""

from __future__ import annotations

import gzip
from datetime import timedelta

import pytest
import time_machine
import zstandard

from exchange import clock
from exchange.lists import pages
from indicators.feeds import proving, snapshots
from indicators.models import FeedSet, Snapshot
from indicators.sight import resighting
from tests import build
from tests.indicators.api.caller import read
from tests.indicators.api.test_delta import Subscriber, revoked, withdraw
from tests.indicators.log.test_joining import leave

pytestmark = pytest.mark.django_db
PATH = "feeds/all/snapshot"


@pytest.fixture(autouse=True)
def kept(settings, tmp_path):
    settings.SNAPSHOT_DIR = tmp_path / "snapshots"
    return settings.SNAPSHOT_DIR


def made(caller, path=PATH):
    """The file, once the worker has made it."""
    assert caller.get(path).status_code == 202
    for pk in FeedSet.unrestricted.values_list("pk", flat=True):
        snapshots.make(pk)
    return caller.get(path)


def whole(answer) -> bytes:
    return b"".join(answer.streaming_content)


def test_it_is_the_set_and_its_cursor_goes_on_by_the_delta(aster, borealis):
    sent = [build.an_indicator() for _ in range(7)]
    aster.push(*sent)
    withdraw(aster, sent[6])
    answer = made(borealis)
    assert (answer.status_code, answer.headers["Content-Encoding"]) == (200, "gzip")
    page = pages.read([gzip.decompress(whole(answer))])
    assert {row["id"] for row in page.rows} == {stix["id"] for stix in sent[:6]}
    reader = Subscriber(borealis)
    reader.catch_up()
    assert (page.trailer.set_count, page.trailer.set_hash) == (reader.trailer.set_count, reader.trailer.set_hash)
    aster.push(revoked(sent[0]))
    reader.cursor = page.trailer.next_cursor
    assert [row["op"] for row in reader.catch_up()] == ["remove"]


def test_coding_tag_and_ranges(aster, borealis):
    aster.push(*(build.an_indicator() for _ in range(5)))
    plain = gzip.decompress(whole(made(borealis)))
    packed = borealis.get(PATH, Accept_Encoding="gzip;q=0.5, zstd")
    coded = whole(packed)
    assert packed.headers["Content-Encoding"] == "zstd"
    assert zstandard.ZstdDecompressor().decompressobj().decompress(coded) == plain
    tag = packed.headers["ETag"]
    assert borealis.get(PATH, Accept_Encoding="zstd", If_None_Match=tag).status_code == 304
    part = {"Accept_Encoding": "zstd", "If_Range": tag}
    for said, wanted in (("0-9", coded[:10]), ("10-", coded[10:]), ("-7", coded[-7:])):
        answer = borealis.get(PATH, Range=f"bytes={said}", **part)
        assert (answer.status_code, whole(answer)) == (206, wanted)
        assert answer.headers["Content-Range"].endswith(f"/{len(coded)}")
    assert borealis.get(PATH, Range="bytes=999999-", **part).status_code == 416
    other = borealis.get(PATH, Range="bytes=0-9", Accept_Encoding="zstd", If_Range='"other"')
    assert (other.status_code, whole(other)) == (200, coded)
    assert borealis.get(PATH, Accept_Encoding="br").status_code == 406


def test_a_large_file_is_coded_once_and_its_tag_stays_strong(aster, borealis):
    aster.push(*(build.an_indicator() for _ in range(60)))
    plain = gzip.decompress(whole(made(borealis)))
    for coding, opened in (
        ("gzip", gzip.decompress),
        ("zstd", zstandard.ZstdDecompressor().decompressobj().decompress),
    ):
        answer = borealis.get(PATH, Accept_Encoding=coding)
        coded = whole(answer)
        assert len(coded) > 2_048
        assert opened(coded) == plain
        assert answer.headers["Content-Length"] == str(len(coded))
        assert not answer.headers["ETag"].startswith("W/")


@pytest.mark.slow
def test_who_lost_something_is_given_no_old_file(aster, borealis):
    first, second = build.an_indicator(), build.an_indicator()
    aster.push(first, second)
    assert made(borealis).status_code == 200
    withdraw(aster, first)
    assert first["id"] not in gzip.decompress(whole(made(borealis))).decode()


@pytest.mark.parametrize("who_leaves", ["the reader", "all"])
@pytest.mark.parametrize("line", ["", "age:<=9d"])
def test_a_file_is_not_served_while_its_reader_is_still_to_be_told_what_it_lost(
    cast, aster, borealis, monkeypatch, who_leaves, line
):
    """No worker has told it yet: more holdings than are told in the transaction that turns its sight."""
    monkeypatch.setattr(resighting, "PORTION", 1)
    of_the_group, of_all = [build.an_indicator() for _ in range(3)], build.an_indicator()
    aster.push(*of_the_group, query="?groups=ring")
    aster.push(of_all, query="?everyone=true")
    feed = read(borealis.send("POST", "feeds", {"name": "one", "text": line}), 201)["id"]
    path = f"feeds/{feed}/snapshot"
    assert made(borealis, path).status_code == 200
    leave([cast.borealis] if who_leaves == "the reader" else [cast.aster, cast.borealis], "ring")
    assert borealis.get(path).status_code == 202
    with time_machine.travel(clock.now() + timedelta(minutes=1), tick=False):  # what moves by itself is asked anew
        assert borealis.get(path).status_code == 202
        resighting.tell_all()
        page = pages.read([gzip.decompress(whole(made(borealis, path)))])
    assert {row["id"] for row in page.rows} == {of_all["id"]}
    assert page.trailer.set_count == 1


def test_others_turns_take_no_file_away(cast, aster, borealis, monkeypatch):
    monkeypatch.setattr(resighting, "PORTION", 1)
    second = build.a_ring(cast.aster, cast.cygnus, slug="second")
    aster.push(*(build.an_indicator() for _ in range(3)), query=f"?groups={second.slug}")
    tag = made(borealis).headers["ETag"]
    leave([cast.aster, cast.cygnus], "second")
    assert borealis.get(PATH).headers["ETag"] == tag


@pytest.mark.slow
def test_what_the_filter_let_go_and_is_then_withdrawn_is_in_no_old_file(aster, borealis):
    one, other = (build.an_indicator() | {"confidence": 90} for _ in range(2))
    aster.push(one, other)
    feed = read(borealis.send("POST", "feeds", {"name": "sure", "text": "confidence:>=70"}), 201)["id"]
    path = f"feeds/{feed}/snapshot"
    assert made(borealis, path).status_code == 200
    aster.push(one | {"confidence": 10, "modified": build.later()})
    assert borealis.get(path).status_code == 200  # it is still shown
    withdraw(aster, one)
    assert one["id"] not in gzip.decompress(whole(made(borealis, path))).decode()


@pytest.mark.slow
def test_each_reader_has_a_file_of_their_own(aster, borealis):
    aster.push(build.an_indicator())
    a, b = made(borealis), made(aster)
    assert a.headers["ETag"] != b.headers["ETag"]


def test_what_nobody_asks_for_goes(aster, borealis, kept):
    aster.push(build.an_indicator())
    made(borealis)
    assert len(list(kept.iterdir())) == 2
    with time_machine.travel(clock.now() + snapshots.UNUSED + timedelta(hours=1)):
        snapshots.forget()
    assert (list(kept.iterdir()), Snapshot.unrestricted.count()) == ([], 0)
    proving.forget()


def test_what_another_of_its_source_stands_in_for_is_in_no_old_file_once_it_is_lost(cast, aster, borealis, cygnus):
    """Two publish under one id through the exchange, so that the older stands for both, and takes it back."""
    build.a_ring(cast.aster, cast.borealis, cast.cygnus, slug="second")
    stix = build.an_indicator()
    for extension in stix["extensions"].values():
        extension["attribution"] = "exchange"
    aster.push(stix | {"name": "The first"}, query="?groups=second")
    borealis.push(stix | {"name": "The second"}, query="?groups=second")
    assert b"The first" in gzip.decompress(whole(made(cygnus)))
    withdraw(aster, stix)
    held = gzip.decompress(whole(made(cygnus)))  # which was not there before
    assert (b"The first" in held, b"The second" in held) == (False, True)
