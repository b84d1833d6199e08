"""Quarantine: sealed, for its own partner, deletable, gone when mended; what must not be said is never in it."""

from __future__ import annotations

import io
import uuid

import orjson
import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from exchange import sealing
from indicators.models import Batch, HeldBatch, Quarantined, StixObject
from indicators.publishing import quarantine
from indicators.stix import tlp
from partners import keys
from partners.models import AuditRecord
from partners.scopes import KEY_SCOPES, Role
from tests import build
from tests.indicators.api.caller import Caller, read

pytestmark = pytest.mark.django_db

CARD = "4111111111111111"


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def aster(cast):
    return Caller(cast.keys["aster"])


def says_red(**more) -> dict:
    return {
        "type": "tool",
        "spec_version": "2.1",
        "id": f"tool--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "name": "A tool",
        "labels": ["TLP:RED"],
        **more,
    }


def waits(aster, *objects) -> list[dict]:
    for stix in objects:
        assert read(aster.push(stix, query="?groups=ring"))["results"][0]["status"] == "quarantined"
    return read(aster.get("quarantine"))["quarantined"]


def test_it_is_sealed_at_rest_and_open_to_its_own_partner_alone(cast, aster):
    stix = says_red(name="Nightshade")
    raw = orjson.dumps(stix)
    (entry,) = waits(aster, raw)
    assert raw in aster.get(f"quarantine/{entry['entry']}").content
    row = Quarantined.unrestricted.get()
    assert b"Nightshade" not in bytes(row.sealed)
    with connection.cursor() as cursor:
        cursor.execute("SELECT q::text FROM indicators_quarantined q")
        assert "Nightshade" not in cursor.fetchone()[0]
    row.partner_id = cast.borealis.pk
    with pytest.raises(sealing.Broken):
        quarantine.body(row)
    borealis = Caller(cast.keys["borealis"])
    assert read(borealis.get("quarantine"))["quarantined"] == []
    assert borealis.get(f"quarantine/{entry['entry']}").status_code == 404
    assert borealis.ask("DELETE", f"quarantine/{entry['entry']}").status_code == 404


def test_the_key_can_be_changed_and_the_old_one_given_up(aster, settings):
    (entry,) = waits(aster, says_red())
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 60, [settings.SECRET_KEY]
    assert quarantine.body(Quarantined.unrestricted.get())
    said = io.StringIO()
    call_command("reseal", stdout=said)
    assert "quarantined objects: 1 sealed anew" in said.getvalue()
    settings.SECRET_KEY_FALLBACKS = []
    assert orjson.loads(quarantine.body(Quarantined.unrestricted.get()))["id"] == entry["id"]


def test_it_is_deleted_for_good_and_the_log_says_so(cast, aster):
    (entry,) = waits(aster, says_red())
    assert aster.ask("DELETE", f"quarantine/{entry['entry']}").status_code == 204
    assert aster.ask("DELETE", f"quarantine/{entry['entry']}").status_code == 404
    assert not Quarantined.unrestricted.exists()
    assert AuditRecord.objects.get(verb="quarantine.deleted").partner == cast.aster


def test_it_is_gone_when_it_was_mended(aster):
    stix, other = says_red(), says_red()
    assert len(waits(aster, stix, other)) == 2
    marked = stix | {"object_marking_refs": [tlp.ID_OF["red"]]}
    assert read(aster.push(marked, query="?partners=borealis"))["results"][0]["status"] == "accepted"
    assert [one["id"] for one in read(aster.get("quarantine"))["quarantined"]] == [other["id"]]


def test_what_is_sent_again_takes_the_place_of_what_was_sent_before(aster):
    stix = says_red()
    (entry,) = waits(aster, stix, stix | {"name": "Later"})
    assert entry["object"]["name"] == "Later"


def test_it_is_paged(aster):
    sent = [says_red() for _ in range(5)]
    waits(aster, *sent)
    seen, cursor = [], ""
    while cursor is not None:
        page = read(aster.get(f"quarantine?limit=2{cursor and '&cursor=' + cursor}"))
        seen += [one["id"] for one in page["quarantined"]]
        cursor = page["next"]
    assert seen == [one["id"] for one in reversed(sent)]


def test_people_who_publish_look_and_delete_in_the_portal(cast, aster):
    (entry,) = waits(aster, says_red(name="<b>Nightshade</b>"))
    browser, other, reader = Client(), Client(), Client()
    build.sign_in(browser, build.a_user(cast.aster, Role.PUBLISHER))
    build.sign_in(other, build.a_user(cast.borealis))
    build.sign_in(reader, build.a_user(cast.aster, Role.COUNSEL))
    where = f"/organisation/quarantine/{entry['entry']}/"
    assert entry["id"] in browser.get("/organisation/quarantine/").content.decode()
    assert "&lt;b&gt;Nightshade" in browser.get(where).content.decode()
    assert [other.get(where).status_code, other.post(f"{where}delete").status_code] == [404, 404]
    assert entry["id"] not in other.get("/organisation/quarantine/").content.decode()
    for path in (where, "/organisation/quarantine/"):
        assert reader.get(path).status_code == 403
    assert reader.post(f"{where}delete").status_code == 403
    assert browser.post(f"{where}delete").status_code == 302
    assert not Quarantined.unrestricted.exists()


@pytest.mark.parametrize("query", ["?groups=ring", "?partners=borealis", "?everyone=true&tlp=clear"])
def test_payment_data_is_refused_and_stored_nowhere(cast, aster, query, caplog, capfd):
    named = says_red(labels=["TLP:RED"], x_map={CARD: "x"}, description=f"paid with {CARD}")
    answer = aster.push(named, says_red(description=f"red, and {CARD}"), query=query)
    results = read(answer)["results"]
    assert [(one["status"], one["code"]) for one in results] == [("refused", "card-number")] * 2
    assert read(aster.get("quarantine"))["quarantined"] == []
    assert CARD not in answer.content.decode()
    assert CARD not in aster.get(f"batches/{read(answer)['id']}").content.decode()
    assert CARD not in caplog.text + "".join(capfd.readouterr())
    assert not [row for row in Batch.unrestricted.all() if CARD in row.results]
    assert not StixObject.unrestricted.exists()
    assert not HeldBatch.unrestricted.exists()
    assert not [row for row in AuditRecord.objects.all() if CARD in orjson.dumps(row.details).decode()]


def test_several_of_one_batch_are_paged_each_once(aster):
    sent = [says_red() for _ in range(5)]
    assert read(aster.push(*sent, query="?groups=ring"))["counts"]["quarantined"] == 5
    Quarantined.unrestricted.update(at=Quarantined.unrestricted.first().at)
    seen, cursor = [], ""
    while cursor is not None:
        page = read(aster.get(f"quarantine?limit=2{cursor and '&cursor=' + cursor}"))
        seen += [one["id"] for one in page["quarantined"]]
        cursor = page["next"]
    assert sorted(seen) == sorted(one["id"] for one in sent)


def test_what_is_sealed_for_one_entry_opens_as_no_other(aster):
    waits(aster, says_red(), says_red())
    first, second = Quarantined.unrestricted.order_by("pk")
    first.sealed = second.sealed
    with pytest.raises(sealing.Broken):
        quarantine.body(first)


def test_a_key_for_some_groups_finds_nothing_that_was_pushed_to_others(cast, aster):
    build.a_ring(cast.aster, cast.borealis, slug="second")
    other = says_red()
    assert read(aster.push(other, query="?groups=second"))["counts"]["quarantined"] == 1
    (inside,) = [one for one in waits(aster, says_red()) if one["id"] != other["id"]]
    (entry,) = [one["entry"] for one in read(aster.get("quarantine"))["quarantined"] if one["id"] == other["id"]]
    made = keys.issue(cast.aster, name="narrow", scopes=sorted(KEY_SCOPES), groups=[cast.ring.pk])[1]
    narrow = Caller(made)
    assert [one["entry"] for one in read(narrow.get("quarantine"))["quarantined"]] == [inside["entry"]]
    for method in ("GET", "DELETE"):
        assert narrow.ask(method, f"quarantine/{entry}").status_code == 404


def test_what_is_withdrawn_stays_so_whatever_the_door_says_of_its_next_version(aster):
    stix = says_red(labels=["plain"])
    assert read(aster.push(stix, query="?groups=ring"))["results"][0]["status"] == "accepted"
    assert aster.send("POST", f"objects/{stix['id']}/withdraw", None).status_code < 300
    later = says_red(id=stix["id"], modified="2026-02-01T00:00:00.000Z")
    assert read(aster.push(later, query="?groups=ring"))["results"][0]["status"] == "withdrawn"
    assert read(aster.get("quarantine"))["quarantined"] == []
