"""Counsel's view of the log: own partner only, for those who may audit, on the screen, as a file and on paper."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine

from exchange.client import audit as offline
from partners import paper
from partners.log import reads, transparency
from partners.scopes import Role
from tests import build
from tests.indicators.api.caller import Caller

pytestmark = pytest.mark.django_db
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def grow() -> None:
    transparency.seal(every=timedelta(0))


@pytest.fixture
def cast():
    cast = build.the_cast()
    build.publish(cast.viewer("aster"), *[build.an_indicator() for _ in range(3)], groups=("ring",))
    build.publish(cast.viewer("aster"), build.an_indicator(tlp_word="green"), everyone=True)
    build.publish(cast.viewer("borealis"), *[build.an_indicator() for _ in range(7)], partners=("dorado",))
    grow()
    return cast


@pytest.fixture
def signed_in(client):
    def sign_in(partner, role=Role.COUNSEL):
        client.force_login(build.a_user(partner, role=role), backend=BACKEND)
        return client

    return sign_in


def words(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def test_counsel_sees_what_was_shared_with_whom_and_on_which_basis(cast, signed_in):
    answer = signed_in(cast.aster).get("/organisation/log/")
    text = words(answer)
    assert "Ring group account-pattern 3" in text
    assert "Every partner account-pattern 1" in text
    assert "An agreement. 1 Jan 2026 to further notice" in text
    assert "shared: 3 account-pattern to ring" in text
    assert "Dorado account-pattern 7" not in text


def test_a_partner_sees_nothing_of_what_another_did(cast, signed_in):
    text = words(signed_in(cast.cygnus).get("/organisation/log/"))
    assert "batch.published" not in text
    assert "Nothing was shared in this period." in text


@pytest.mark.parametrize("path", ["", "export.jsonl", "report.pdf"])
@pytest.mark.parametrize("role", [Role.ANALYST, Role.PUBLISHER])
def test_who_may_not_audit_finds_no_such_page(cast, signed_in, path, role):
    client = signed_in(cast.aster, role)
    assert client.get(f"/organisation/log/{path}").status_code == 404
    assert "/organisation/log/" not in client.get("/").content.decode()


@pytest.mark.parametrize("role", [Role.COUNSEL, Role.ADMIN])
def test_counsel_and_admin_find_the_tab(cast, signed_in, role):
    assert "/organisation/log/" in signed_in(cast.aster, role).get("/organisation/").content.decode()


def test_filters_narrow_totals_records_and_export(cast, signed_in):
    client = signed_in(cast.aster)
    text = words(client.get("/organisation/log/?group=ring"))
    assert "Ring group account-pattern 3" in text
    assert "Every partner account-pattern" not in text
    assert "Nothing was shared in this period." in words(client.get("/organisation/log/?until=2020-01-01"))
    narrowed = b"".join(client.get("/organisation/log/export.jsonl?verb=batch.published").streaming_content)
    assert narrowed.count(b"\n") == 2 + 2
    assert client.get("/organisation/log/?until=tomorrow").status_code == 422


def test_pages_of_records_follow_each_other(cast, signed_in):
    for _ in range(60):
        build.publish(cast.viewer("aster"), build.an_indicator())
    client = signed_in(cast.aster)
    first = client.get("/organisation/log/").content.decode()
    older = re.search(r'href="([^"]*cursor=[^"]*)"', first)[1].replace("&amp;", "&")
    second = client.get(older).content.decode()
    seen = re.findall(r'title="([0-9a-f]{64})"', first + second)
    assert len(seen) == len(set(seen)) > 60
    client.logout()
    other = build.a_user(cast.borealis, role=Role.COUNSEL)
    client.force_login(other, backend=BACKEND)
    assert client.get(older).status_code == 400, "a cursor is its holder's"


def test_the_export_verifies_offline(cast, signed_in, tmp_path):
    answer = signed_in(cast.aster).get("/organisation/log/export.jsonl")
    assert "attachment" in answer.headers["Content-Disposition"]
    (tmp_path / "log.jsonl").write_bytes(b"".join(answer.streaming_content))
    assert offline.verify(tmp_path / "log.jsonl").ok


def test_the_paper_has_its_parts(cast, signed_in):
    answer = signed_in(cast.aster).get("/organisation/log/report.pdf?since=2026-01-01")
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    assert b"/Count" in answer.content


def test_what_people_wrote_is_no_markup_on_paper():
    made = paper.Paper("<b>Title</b> & more", subtitle="日本 – “quoted”")
    made.table(("a",), [["<font size=99>x</font>"], ["</para>"]], widths=(1,), empty="")
    assert made.render().startswith(b"%PDF-")


def test_records_of_reading_name_the_key_and_not_the_places(cast, signed_in):
    Caller(cast.keys["borealis"]).get("changes")
    with time_machine.travel("2030-01-01T00:00:00Z"):
        reads.close()
    text = words(signed_in(cast.borealis).get("/organisation/log/?verb=read.aggregated"))
    assert "key test" in text
    assert "rest:changes" in text
    assert "seq" not in text
