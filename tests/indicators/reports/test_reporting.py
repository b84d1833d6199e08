"""Report packages: the rule on both sides, two persons, one recipient; and those who try otherwise."""

from __future__ import annotations

import csv
import io
import itertools
import json
import uuid
import zipfile
from datetime import date, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from exchange.client import audit as offline
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from indicators.models import ReportPackage
from indicators.publishing.reach import Reach
from indicators.reading import gathering
from indicators.reports import reporting
from indicators.stix import tlp
from partners.attribution import Attribution
from partners.keys import auth
from partners.log import transparency
from partners.models import AuditRecord, Group
from partners.scopes import Role, Scope
from tests import build
from tests.drilling import LONG
from tests.indicators.api.caller import Caller, another, code, read

pytestmark = pytest.mark.django_db
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def sdo(kind: str, name: str, *, word: str = "green", **more) -> dict:
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{uuid.uuid4()}",
        "created": "2026-11-01T00:00:00.000Z",
        "modified": "2026-11-01T00:00:00.000Z",
        "name": name,
        "object_marking_refs": [tlp.ID_OF[word]],
    } | more


def link(source: dict, target: dict, *, word: str = "green") -> dict:
    found = sdo("relationship", "", word=word, relationship_type="indicates", source_ref=source["id"])
    found["target_ref"] = target["id"]
    del found["name"]
    return found


def grow() -> None:
    transparency.seal(every=timedelta(0))


class Scene:
    """A campaign of Aster's: one indicator for everybody, one for Dorado by name, one for the ring alone."""

    def __init__(self) -> None:
        self.cast = build.the_cast()
        self.aster = self.cast.viewer("aster")
        self.campaign = sdo("campaign", "Hydra of November")
        self.open = build.an_indicator(tlp_word="green", name="Open to all")
        self.named = build.an_indicator(tlp_word="amber", name="For Dorado by name")
        self.hidden = build.an_indicator(tlp_word="amber", name="For the ring alone")
        self.links = [link(one, self.campaign) for one in (self.open, self.named, self.hidden)]
        # Bytes that no serialiser would write: they must arrive as they are.
        self.raw = json.dumps(self.open, indent=1).replace('"type"', '"x_odd" : 1.50,\n "type"', 1).encode()
        build.publish(self.aster, self.campaign, self.raw, *self.links, everyone=True)
        build.publish(self.aster, self.named, partners=("dorado",), groups=("ring",))
        build.publish(self.aster, self.hidden, groups=("ring",))
        self.preparer_person = build.a_user(self.cast.aster, role=Role.PUBLISHER)
        self.preparer = auth.viewer_of_user(self.preparer_person)
        self.counsel_person = build.a_user(self.cast.aster, role=Role.COUNSEL)
        self.counsel = auth.viewer_of_user(self.counsel_person)

    def prepare(self, recipient: str = "dorado") -> ReportPackage:
        return reporting.prepare(self.preparer, recipient=recipient, root=self.campaign["id"])

    def released(self) -> ReportPackage:
        package = reporting.release(self.counsel, self.prepare().pk)
        grow()
        return package

    def signed_in(self, person) -> Client:
        client = Client()
        client.force_login(person, backend=BACKEND)
        return client


@pytest.fixture
def scene():
    return Scene()


@pytest.fixture
def dorado(scene):
    return Caller(scene.cast.keys["dorado"])


def files_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        return {name: package.read(name) for name in package.namelist()}


# --- What it holds


def test_it_holds_what_the_recipient_may_see_byte_for_byte_and_counts_the_rest_for_the_preparer(
    scene, dorado, tmp_path
):
    package = scene.released()
    assert package.left_out == 1
    content = dorado.get(f"reports/{package.pk}/package").content
    files = files_of(content)
    assert set(files) == {
        *("bundle.json", "cover.json", "cover.pdf", "proofs.json"),
        *("form.json", "form.pdf", "objects.csv"),
    }
    assert scene.raw in files["bundle.json"]
    bundle, cover = json.loads(files["bundle.json"]), json.loads(files["cover.json"])
    ids = {one["id"] for one in bundle["objects"]}
    assert {scene.campaign["id"], scene.open["id"], scene.named["id"]} < ids
    assert scene.hidden["id"] not in ids
    assert cover["tlp"] == "amber", "the strictest of its objects"
    assert [one["id"] for one in cover["objects"]] == [one["id"] for one in bundle["objects"]]
    assert cover["prepared"]["by"] == scene.preparer_person.username
    assert cover["released"]["by"] == scene.counsel_person.username
    assert b"left_out" not in files["cover.json"] + files["proofs.json"]
    assert scene.hidden["name"].encode() not in b"".join(files.values())
    assert files["cover.pdf"].startswith(b"%PDF-")
    (tmp_path / "package.zip").write_bytes(content)
    report = offline.verify(tmp_path / "package.zip")
    assert report.ok, report.problems
    assert len(report.verified) == 3


def test_a_package_calls_a_relationship_by_the_ends_that_it_holds(scene, dorado):
    """On the cover sheet, in the table and on the page; an end that it does not hold is told by its type."""
    package = scene.released()
    files = files_of(dorado.get(f"reports/{package.pk}/package").content)
    rows = list(csv.DictReader(io.StringIO(files["objects.csv"].decode())))
    on_cover = {one["id"]: one["title"] for one in json.loads(files["cover.json"])["objects"]}
    called = {scene.links[0]["id"]: "Open to all indicates Hydra of November"}
    called[scene.links[2]["id"]] = "indicator indicates Hydra of November"
    in_table = {one["id"]: one["title"] for one in rows}
    page = scene.signed_in(scene.counsel_person).get(f"/organisation/reports/{package.pk}/").content.decode()
    for stix_id, title in called.items():
        assert (on_cover[stix_id], in_table[stix_id]) == (title, title)
        assert f">{title}</a>" in page


def test_a_package_that_was_changed_is_found_out(scene, dorado, tmp_path):
    package = scene.released()
    files = files_of(dorado.get(f"reports/{package.pk}/package").content)
    for name in ("bundle.json", "cover.json", "cover.pdf", "form.json", "form.pdf", "objects.csv"):
        with zipfile.ZipFile(tmp_path / "changed.zip", "w") as changed:
            for each, content in files.items():
                changed.writestr(each, content + b" " if each == name else content)
        assert not offline.verify(tmp_path / "changed.zip").ok, name


def test_a_report_holds_what_it_refers_to_and_a_group_its_basis(scene):
    report = sdo("report", "Findings", word="amber", object_refs=[scene.hidden["id"], scene.open["id"]])
    build.publish(scene.aster, report, groups=("ring",))
    package = reporting.prepare(scene.preparer, recipient="borealis", root=report["id"])
    assert package.left_out == 0
    assert [base["group"] for base in package.bases] == ["ring"]
    assert "group" in package.ways
    record = AuditRecord.objects.get(verb="report.prepared")
    assert record.details["bases"][0]["reference"] == "An agreement."
    assert scene.hidden["id"] not in json.dumps(record.details)


def test_what_only_a_lapsed_basis_carries_is_left_out(scene):
    report = sdo("report", "Findings", object_refs=[scene.hidden["id"], scene.open["id"]])
    build.publish(scene.aster, report, everyone=True)
    package = reporting.prepare(scene.preparer, recipient="borealis", root=report["id"])
    assert package.left_out == 0
    Group.objects.update(basis_from=date(2020, 1, 1), basis_until=date(2020, 12, 31))
    assert reporting.prepare(scene.preparer, recipient="borealis", root=report["id"]).left_out == 1
    with pytest.raises(Conflict, match="prepare it anew"):
        reporting.release(scene.counsel, package.pk)


def test_what_the_recipient_sees_and_the_preparer_does_not_is_as_if_it_were_not_there(scene):
    secret = build.an_indicator(tlp_word="amber", name="Between Cygnus and Dorado")
    tie = link(secret, scene.campaign)
    build.publish(scene.cast.viewer("cygnus"), secret, tie, partners=("dorado",))
    package = scene.prepare()
    held = reporting.contents(scene.preparer, package)
    assert {secret["id"], tie["id"]}.isdisjoint(one.stix_id for one in held)
    assert package.left_out == 1


def test_following_is_bounded(scene, monkeypatch):
    from indicators.reading import gathering

    chain = [sdo("campaign", f"Step {n}") for n in range(8)]
    ties = [link(one, other) for one, other in itertools.pairwise(chain)]
    build.publish(scene.aster, *chain, *ties, everyone=True)
    package = reporting.prepare(scene.preparer, recipient="dorado", root=chain[0]["id"])
    assert package.cut
    assert len(package.object_ids) == gathering.MAX_STEPS + 1
    monkeypatch.setattr(gathering, "MAX_OBJECTS", 2)
    package = reporting.prepare(scene.preparer, recipient="dorado", root=chain[0]["id"])
    assert package.cut
    assert len(package.object_ids) == 2


# --- Who may


def test_the_preparer_does_not_release_and_a_key_does_neither(scene):
    admin_person = build.a_user(scene.cast.aster, role=Role.ADMIN)
    admin = auth.viewer_of_user(admin_person)
    package = reporting.prepare(admin, recipient="dorado", root=scene.campaign["id"])
    with pytest.raises(Forbidden, match="Another person"):
        reporting.release(admin, package.pk)
    key = build.viewer_of(scene.cast.aster, *Scope)
    for verb in (
        lambda: reporting.release(key, package.pk),
        lambda: reporting.discard(key, package.pk),
        lambda: reporting.prepare(key, recipient="dorado", root=scene.campaign["id"]),
    ):
        with pytest.raises(Forbidden) as refused:
            verb()
        assert refused.value.code == "needs-a-person"
    analyst = auth.viewer_of_user(build.a_user(scene.cast.aster, role=Role.ANALYST))
    with pytest.raises(Forbidden):
        reporting.prepare(analyst, recipient="dorado", root=scene.campaign["id"])
    with pytest.raises(Forbidden):
        reporting.release(scene.preparer, scene.prepare().pk)  # a publisher has no right to audit
    assert ReportPackage.objects.of(scene.aster).filter(state="released").count() == 0


def test_the_database_holds_that_another_person_releases(scene):
    package = scene.prepare()
    with pytest.raises(IntegrityError, match="another_person_releases"), transaction.atomic():
        ReportPackage.unrestricted.filter(pk=package.pk).update(state="released", released_by=package.prepared_by)


def test_nobody_of_another_partner_touches_a_package(scene):
    package = scene.prepare()
    for partner in (scene.cast.borealis, scene.cast.dorado, scene.cast.operator):
        stranger = auth.viewer_of_user(build.a_user(partner, role=Role.ADMIN))
        for verb in (reporting.release, reporting.discard, reporting.own_one):
            with pytest.raises(NotFound):
                verb(stranger, package.pk)
    package.refresh_from_db()
    assert package.state == "prepared"


@pytest.mark.slow
def test_a_package_is_its_recipients_once_it_is_released_and_nobody_elses(scene, dorado):
    package = scene.prepare()
    others = [Caller(scene.cast.keys[name]) for name in ("borealis", "cygnus", "aster")]
    paths = (f"reports/{package.pk}", f"reports/{package.pk}/package")
    absent = dorado.get(f"reports/{uuid.uuid4()}").json()
    for path in paths:
        assert dorado.get(path).json() | {"request_id": ""} == absent | {"request_id": ""}, "not released yet"
    assert read(dorado.get("reports"))["reports"] == []
    reporting.release(scene.counsel, package.pk)
    assert code(dorado.get(paths[1]), 409) == "not-sealed-yet"
    grow()
    assert [one["id"] for one in read(dorado.get("reports"))["reports"]] == [str(package.pk)]
    assert dorado.get(paths[1]).status_code == 200
    for other in others:
        assert read(other.get("reports"))["reports"] == []
        for path in paths:
            assert other.get(path).json() | {"request_id": ""} == absent | {"request_id": ""}
    assert code(another(scene.cast.dorado, Scope.SUBSCRIBE).get("reports"), 403) == "missing-scope"


def test_a_package_is_released_once_and_a_discarded_one_never(scene):
    package = scene.prepare()
    reporting.release(scene.counsel, package.pk)
    with pytest.raises(Conflict):
        reporting.release(scene.counsel, package.pk)
    other = scene.prepare()
    reporting.discard(scene.preparer, other.pk)
    with pytest.raises(Conflict):
        reporting.release(scene.counsel, other.pk)
    with pytest.raises(Forbidden):
        reporting.discard(scene.preparer, package.pk)  # what is out is counsel's to take back


def test_the_root_and_the_recipient_must_be_ones(scene):
    for recipient in ("aster", "nobody", ""):
        with pytest.raises(Refused):
            reporting.prepare(scene.preparer, recipient=recipient, root=scene.campaign["id"])
    for root in ("campaign--x", scene.open["id"], ""):
        with pytest.raises(Refused):
            reporting.prepare(scene.preparer, recipient="dorado", root=root)
    theirs = sdo("campaign", "Of Cygnus alone", word="red")
    build.publish(scene.cast.viewer("cygnus"), theirs)
    for absent in (theirs["id"], f"campaign--{uuid.uuid4()}"):
        with pytest.raises(NotFound):
            reporting.prepare(scene.preparer, recipient="dorado", root=absent)
    ring = sdo("campaign", "Of the ring", word="amber")
    build.publish(scene.aster, ring, groups=("ring",))
    with pytest.raises(Refused, match="may not see this object"):
        reporting.prepare(scene.preparer, recipient="dorado", root=ring["id"])


# --- What leaves the recipient's sight


def narrow(scene, what: dict, **more) -> None:
    build.publish(scene.aster, what | {"modified": build.later()} | more, groups=("ring",))


@pytest.mark.parametrize("how", ["narrowed", "revoked"])
def test_an_object_that_is_withdrawn_before_the_release_stops_it(scene, how):
    package = scene.prepare()
    narrow(scene, scene.named, **({"revoked": True} if how == "revoked" else {}))
    with pytest.raises(Conflict, match="prepare it anew"):
        reporting.release(scene.counsel, package.pk)
    assert scene.prepare().left_out == (2 if how == "narrowed" else 1)


def test_an_object_that_is_revoked_for_its_readers_takes_the_package_with_it(scene, dorado):
    package = scene.released()
    assert dorado.get(f"reports/{package.pk}/package").status_code == 200
    build.publish(scene.aster, scene.named | {"modified": build.later(), "revoked": True})
    assert dorado.get(f"reports/{package.pk}/package").status_code == 404
    assert read(dorado.get("reports"))["reports"] == []


def test_an_object_that_is_narrowed_after_the_release_takes_the_package_with_it(scene, dorado):
    package = scene.released()
    narrow(scene, scene.named)
    absent = dorado.get(f"reports/{uuid.uuid4()}").json()
    for path in (f"reports/{package.pk}", f"reports/{package.pk}/package"):
        assert dorado.get(path).json() | {"request_id": ""} == absent | {"request_id": ""}
    assert read(dorado.get("reports"))["reports"] == []


def test_a_revision_leaves_the_package_as_it_was(scene, dorado):
    package = scene.released()
    before = files_of(dorado.get(f"reports/{package.pk}/package").content)["bundle.json"]
    build.publish(scene.aster, scene.open | {"modified": build.later(), "name": "Renamed"})
    assert files_of(dorado.get(f"reports/{package.pk}/package").content)["bundle.json"] == before


# --- The portal


def test_two_people_walk_a_package_to_its_recipient_in_the_portal(scene):
    preparer, counsel = scene.signed_in(scene.preparer_person), scene.signed_in(scene.counsel_person)
    page = preparer.get("/organisation/reports/").content.decode()
    assert scene.campaign["id"] in page
    answer = preparer.post("/organisation/reports/", {"recipient": "dorado", "root": scene.campaign["id"]})
    where = answer.headers["Location"]
    shown = preparer.get(where).content.decode()
    assert '<dd class="screen">1 that the recipient may not see' in shown  # and not on paper, which is handed over
    assert "Release to" not in shown
    preparer.post(where, {"do": "release"})
    assert ReportPackage.objects.of(scene.aster).get().state == "prepared"
    assert "Release to Dorado" in counsel.get(where).content.decode()
    counsel.post(where, {"do": "release"})
    recipient = scene.signed_in(build.a_user(scene.cast.dorado, role=Role.ANALYST))
    early = recipient.get(f"{where}package.zip")
    assert early.status_code == 302
    grow()
    page = recipient.get("/organisation/reports/").content.decode()
    assert "Hydra of November" in page
    assert "Prepare a package" not in page
    assert recipient.get(f"{where}package.zip").headers["Content-Type"] == "application/zip"
    assert recipient.get(where).status_code == 404, "what the preparer sees of it is not for the recipient"


@pytest.mark.slow
def test_people_who_may_not_find_no_such_page(scene):
    package = scene.released()
    where = f"/organisation/reports/{package.pk}/"
    analyst = scene.signed_in(build.a_user(scene.cast.aster, role=Role.ANALYST))
    stranger = scene.signed_in(build.a_user(scene.cast.borealis, role=Role.ADMIN))
    for client in (analyst, stranger):
        assert client.get(where).status_code == 404
        assert client.post(where, {"do": "discard"}).status_code == 404
        assert client.get(f"{where}package.zip").status_code == 404
    assert analyst.post("/organisation/reports/", {"recipient": "dorado", "root": "x"}).status_code == 404
    assert str(package.pk) not in stranger.get("/organisation/reports/").content.decode()
    package.refresh_from_db()
    assert package.state == "released"


@pytest.mark.slow
def test_a_stale_package_shows_nothing_of_what_it_held(scene):
    package = scene.prepare()
    narrow(scene, scene.campaign)
    counsel = scene.signed_in(scene.counsel_person)
    for path in ("", f"{package.pk}/"):
        page = counsel.get(f"/organisation/reports/{path}").content.decode()
        assert "No longer whole" in page
    assert scene.open["id"] not in page


@pytest.mark.slow
def test_who_prepares_and_sees_it_no_more_does_not_learn_whether_the_recipient_does(scene):
    other = build.an_indicator(tlp_word="green")
    build.publish(scene.cast.viewer("borealis"), other, link(other, scene.campaign), everyone=True)
    package = scene.prepare()
    assert package.left_out == 1
    borealis = Caller(scene.cast.keys["borealis"])
    assert borealis.send("PUT", f"objects/{other['id']}/audience", {"partners": ["dorado"]}).status_code == 204
    assert reporting.own(scene.counsel)[0][1] is False, "the pages say so already"
    with pytest.raises(Conflict, match="prepare it anew"):
        reporting.release(scene.counsel, package.pk)


def test_lists_cost_as_many_queries_for_ten_packages_as_for_one(scene, dorado):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    counsel = scene.signed_in(scene.counsel_person)

    def queries() -> list[int]:
        counts = []
        for ask in (lambda: dorado.get("reports"), lambda: counsel.get("/organisation/reports/")):
            ask()
            with CaptureQueriesContext(connection) as captured:
                assert ask().status_code == 200
            counts.append(len(captured))
        return counts

    scene.released()
    few = queries()
    for _ in range(9):
        scene.released()
    assert queries() == few


def test_a_package_holds_the_recipients_line_of_what_several_publishers_hold():
    scene = Scene()
    fake = scene.open | {"modified": build.later(), "name": "Nothing to see", "confidence": 1}
    build.publish(scene.cast.viewer("borealis"), fake, everyone=True)
    reporting.release(scene.counsel, scene.prepare().pk)
    found = gathering.gather(scene.aster, scene.cast.dorado, scene.campaign["id"])
    assert {one.title for one in found.held if one.stix_id == scene.open["id"]} == {"Open to all"}
    late = build.an_indicator(tlp_word="green", name="First by Borealis")
    build.publish(scene.cast.viewer("borealis"), late, everyone=True)
    theirs = late | {"name": "By Aster"}
    build.publish(scene.aster, theirs, link(theirs, scene.campaign), everyone=True)
    found = gathering.gather(scene.aster, scene.cast.dorado, scene.campaign["id"])
    assert {one.title for one in found.held if one.stix_id == late["id"]} == {"First by Borealis"}


def test_a_package_names_groups_and_ways_of_preparer_and_recipient_alone():
    """Dorado is in a group that Aster is not in, and Aster in one that Dorado is not in: neither is named."""
    cast = build.the_cast()
    both = build.a_ring(cast.aster, cast.dorado, slug="both")
    build.a_ring(cast.borealis, cast.dorado, slug="theirs")
    campaign = sdo("campaign", "One", word="amber")
    build.publish(cast.viewer("aster"), campaign, groups=("ring", "both"))
    found = gathering.gather(cast.viewer("aster"), cast.dorado, campaign["id"])
    assert ([group.slug for group in found.groups], found.ways) == ([both.slug], ["group"])


def test_what_the_recipient_published_itself_needs_no_other_way():
    cast = build.the_cast()
    campaign = sdo("campaign", "One", word="amber")
    build.publish(cast.viewer("borealis"), campaign, groups=("ring",))
    Group.objects.filter(pk=cast.ring.pk).update(basis_until=date(2026, 1, 2))
    found = gathering.gather(cast.viewer("aster"), cast.borealis, campaign["id"])
    assert found.ways == ["named"]


@pytest.mark.parametrize(("most", "cut"), [(2, True), (3, False), (4, False)])
def test_a_package_is_cut_where_more_belongs_to_it_than_it_may_hold(monkeypatch, most, cut):
    cast = build.the_cast()
    tools = [sdo("tool", name) for name in ("a", "b")]
    campaign = sdo("report", "One", object_refs=[one["id"] for one in tools], published="2026-11-01T00:00:00Z")
    build.publish(cast.viewer("aster"), campaign, *tools, everyone=True)
    monkeypatch.setattr(gathering, "MAX_OBJECTS", most)
    found = gathering.gather(cast.viewer("aster"), cast.borealis, campaign["id"])
    assert (len(found.held), found.cut) == (min(most, 3), cut)


# --- As an authority files it


def test_the_form_counts_in_powers_of_ten_and_says_techniques_time_line_and_measures(scene, dorado):
    attack = sdo(
        "attack-pattern",
        "Prompt extraction",
        external_references=[{"source_name": "mitre-atlas", "external_id": "AML.T0024"}],
    )
    done = sdo("course-of-action", "Keys were revoked")
    many = [build.an_indicator(tlp_word="green", name="=1+1") for _ in range(9)]
    links = [link(one, scene.campaign) for one in (attack, done, *many)]
    build.publish(scene.aster, attack, done, *many, *links, everyone=True)
    package = scene.released()
    files = files_of(dorado.get(f"reports/{package.pk}/package").content)
    form = json.loads(files["form.json"])
    assert form["format"] == "exchange-report-form/1"
    assert (form["from"], form["to"], form["tlp"]) == ("Aster", "Dorado", "amber")
    assert form["counts"]["by_kind"]["account-pattern"] == "10^1", "eleven"
    assert form["counts"]["by_kind"]["campaign"] == "10^0"
    assert form["counts"]["publishers"] == "10^0"
    assert form["techniques"]["described"] == [
        {"name": "Prompt extraction", "known_as": ["mitre-atlas: AML.T0024"], "id": attack["id"]}
    ]
    assert form["measures"]["described"] == [{"name": "Keys were revoked", "id": done["id"]}]
    assert {day["day"] for day in form["time_line"]["published"]} >= {"2026-11-01"}
    assert files["form.pdf"].startswith(b"%PDF-")
    rows = list(csv.DictReader(io.StringIO(files["objects.csv"].decode())))
    bundle = json.loads(files["bundle.json"])["objects"]
    assert [row["id"] for row in rows] == [one["id"] for one in bundle]
    assert {row["title"] for row in rows} >= {"'=1+1", "Hydra of November"}, "no cell is a formula"
    assert scene.hidden["id"] not in files["objects.csv"].decode() + files["form.json"].decode()


def test_the_form_says_from_when_to_when_indicators_were_seen_and_takes_moments_alone(scene, dorado):
    seen = {"first_seen": "2026-10-02T09:00:00Z", "last_seen": "2026-10-05T11:00:00Z"}
    ours = build.an_indicator(tlp_word="green", extension=seen)
    strange = sdo("campaign", "Strange", first_seen="0000", last_seen="zz")
    build.publish(scene.aster, ours, strange, link(ours, scene.campaign), link(strange, scene.campaign), everyone=True)
    package = scene.released()
    files = files_of(dorado.get(f"reports/{package.pk}/package").content)
    assert strange["id"] in files["bundle.json"].decode()
    told = json.loads(files["form.json"])["time_line"]
    assert {name: told[name] for name in seen} == seen


@pytest.mark.parametrize("hiding", [Attribution.PSEUDONYM, pytest.param(Attribution.EXCHANGE, marks=LONG)])
@pytest.mark.slow
def test_the_form_counts_named_publishers_alone_so_that_it_tells_nobody_who_hides(scene, dorado, hiding):
    def publishing(partner, attribution):
        said = build.an_indicator(tlp_word="green")
        reach = Reach(named=True, everyone=True, attribution=attribution)
        build.publish_as(build.viewer_of(partner), said, link(said, scene.campaign), reach=reach)

    def counted() -> str:
        package = scene.released()
        return json.loads(files_of(dorado.get(f"reports/{package.pk}/package").content)["form.json"])["counts"]

    named = [build.a_partner(f"Lab{number}") for number in range(8)]
    for partner in named:
        publishing(partner, Attribution.NAMED)
    nine = counted()
    assert nine["publishers"] == "10^0"
    publishing(named[0], hiding)
    assert counted() == nine, "one of them hides"
    for name in ("borealis", "cygnus"):
        publishing(getattr(scene.cast, name), hiding)
    assert counted()["publishers"] == "10^0", "others do"
    publishing(scene.cast.borealis, Attribution.NAMED)
    assert counted()["publishers"] == "10^1"


def test_no_cell_of_the_table_is_a_formula_where_a_spreadsheet_splits_at_semicolons(scene, dorado):
    evil = build.an_indicator(tlp_word="green", name="a;=1+1; @b;c")
    build.publish(scene.aster, evil, link(evil, scene.campaign), everyone=True)
    package = scene.released()
    table = files_of(dorado.get(f"reports/{package.pk}/package").content)["objects.csv"].decode()
    assert "a;'=1+1; '@b;c" in table
    cells = [cell.lstrip() for line in csv.reader(io.StringIO(table), delimiter=";") for cell in line]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
