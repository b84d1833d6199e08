"""The files of a report package: the bundle, the cover sheet on paper and for machines, and the proofs."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from exchange import clock
from exchange.client import statements
from exchange.client.audit import PACKAGE_FORMAT
from exchange.errors import Conflict
from exchange.tokens.defanging import defanged_text
from indicators.models import ReportPackage, StixObject
from indicators.reading import titling
from indicators.reports import form
from partners import terms
from partners.keys.auth import viewer_whatever_state
from partners.log import logbook, logkeys, transparency
from partners.sources import sources
from partners.tlp import Tlp

_WAYS = {"everyone": "shared with every partner", "named": "shared with the recipient by name", "group": "in a group"}


def bundle(package_id: UUID, held: Sequence[StixObject]) -> bytes:
    """A STIX bundle around the producers' bytes, which are not touched."""
    objects = b",".join(one.body.encode() for one in held)
    return b'{"type":"bundle","id":"bundle--%s","objects":[%s]}' % (str(package_id).encode(), objects)


def is_ready(package: ReportPackage) -> bool:
    """Whether a published head covers its release, so that it can be opened."""
    head = transparency.head()
    return (
        package.release is not None and head is not None and logbook.index_of(package.release, under=head) is not None
    )


def archive(package: ReportPackage, held: Sequence[StixObject]) -> bytes:
    """All files as a zip, signed. Raises Conflict until a published head covers the release."""
    head = transparency.head()
    if package.release is None or head is None or logbook.index_of(package.release, under=head) is None:
        raise Conflict("Its release is being entered into the log; try again in a minute.", code="not-sealed-yet")
    release_proof = logbook.proof_of(package.release, under=head)
    cover = cover_document(package, held) | {"head": transparency.head_document(head), "release": release_proof}
    files = {
        "cover.json": orjson.dumps(cover, option=orjson.OPT_INDENT_2),
        "cover.pdf": _cover_paper(cover),
    }
    given = package.forms or terms.FORMS
    if "stix" in given:
        files["bundle.json"] = bundle(package.pk, held)
    if "csv" in given:
        files["objects.csv"] = form.table(held, cover=cover)
    if "form" in given:
        filed = form.document(held, cover=cover)
        files["form.json"] = orjson.dumps(filed, option=orjson.OPT_INDENT_2)
        files["form.pdf"] = _form_paper(filed)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    proofs = {
        "format": PACKAGE_FORMAT,
        "package": package.pk,
        "files": digests,
        "key": logkeys.key_id(),
        "signature": logkeys.sign_text(statements.package_text(digests)),
        "release": release_proof,
        **logbook.head_with_keys(head),
    }
    files["proofs.json"] = orjson.dumps(proofs, option=orjson.OPT_INDENT_2)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return out.getvalue()


def cover_document(package: ReportPackage, held: Sequence[StixObject]) -> dict[str, Any]:
    """What the recipient is told of a package, sources as it knows them. Nothing of what was left out."""
    reader = viewer_whatever_state(package.recipient_id)
    titles = _titles(held)
    said_by = sources(reader, {(one.publisher_id, one.audience_id) for one in held})
    return {
        "package": str(package.pk),
        "title": package.title,
        "root": package.root,
        "tlp": Tlp(package.tlp).word,
        "from": package.partner.name,
        "to": package.recipient.name,
        "prepared": {"by": package.prepared_name, "at": clock.rfc3339(package.prepared_at)},
        "released": {
            "by": package.released_name,
            "at": clock.rfc3339(package.released_at) if package.released_at else None,
        },
        "bases": package.bases,
        "terms": terms.said(package.terms) if package.terms is not None else None,
        "given_as": list(package.forms or terms.FORMS),
        "appeals": package.appeals,
        "ways": [_WAYS[way] for way in package.ways],
        "bundle_sha256": bytes(package.bundle_sha256).hex(),
        "objects": [
            {
                "id": one.stix_id,
                "type": one.stix_type,
                "title": titles[one.stix_id],
                "publisher": said_by[one.publisher_id, one.audience_id].name,
                "creator": _claimed(one, according_to=said_by[one.publisher_id, one.audience_id].name),
                "tlp": Tlp(one.audience.tlp).word,
                "version": one.version,
            }
            for one in held
        ],
    }


def _titles(held: Sequence[StixObject]) -> dict[str, str]:
    """By id what each is called: a relationship by the ends of it that the package holds."""
    stored = {one.stix_id: one.title for one in held}
    said = {one.stix_id: titling.related(one.body) for one in held if one.stix_type == "relationship"}
    return stored | {stix_id: titling.relationship(one, stored) for stix_id, one in said.items() if one}


def _claimed(one: StixObject, *, according_to: str) -> dict[str, str] | None:
    """The creator that a publisher names, where that is not the publisher as it is registered here."""
    if one.created_by_ref is None or one.created_by_ref.lower() == one.publisher.identity_id:
        return None
    return {"id": one.created_by_ref, "according_to": according_to}


def _source(listed: dict[str, Any]) -> str:
    """The publisher, and whom it names as creator."""
    claimed = listed["creator"]
    return f"{listed['publisher']}; according to it by {claimed['id']}" if claimed else listed["publisher"]


def _cover_paper(cover: dict[str, Any]) -> bytes:
    from partners import paper  # noqa: PLC0415 - 6 MB of a process, and few make a document on paper

    marking = f"TLP:{cover['tlp'].upper()}"
    made = paper.Paper(
        defanged_text(cover["title"]), subtitle=f"Report package of {cover['from']} for {cover['to']}", marking=marking
    )
    made.facts(
        [
            ("Marking", f"{marking}: the strictest of its objects"),
            ("Prepared", f"{cover['prepared']['by']} of {cover['from']}, {_minute(cover['prepared']['at'])}"),
            ("Released", f"{cover['released']['by']} of {cover['from']}, {_minute(cover['released']['at'])}"),
            ("Holds", f"{len(cover['objects'])} STIX objects, {'; '.join(cover['ways'])}"),
            ("Package", cover["package"]),
            ("SHA-256 of bundle.json", cover["bundle_sha256"]),
        ],
        mono=("Package", "SHA-256 of bundle.json"),
    )
    made.text(
        "It holds what the recipient itself may see by the rules of the Exchange, as its publishers wrote it, byte for"
        " byte. It says what they observed and did; it recommends nothing."
    )
    made.heading("Terms of the recipient")
    made.facts(_terms(cover))
    made.heading("Legal bases of the groups concerned")
    rows = [(one["name"], one["reference"], one["from"], one["until"] or "further notice") for one in cover["bases"]]
    none = "No group is concerned: the objects are shared with every partner or with the recipient by name."
    made.table(("Group", "Basis", "From", "Until"), rows, widths=(3, 6, 2, 2), empty=none)
    if cover["appeals"]:
        made.heading("Appeals on what its partner publishes")
        made.facts(_appeals(cover["appeals"]))
    made.heading("Objects")
    listed = [
        (one["type"], defanged_text(one["title"]), _source(one), one["tlp"].upper(), one["id"])
        for one in cover["objects"]
    ]
    made.table(("Type", "Title", "Publisher", "TLP", "Id"), listed, widths=(2.2, 4, 2, 1.6, 4.4), empty="None.")
    head, proof = cover["head"], cover["release"]
    made.heading("Proof of release")
    made.text(
        "The release is a record in the log of the Exchange, a Merkle tree (RFC 9162) with signed heads. proofs.json"
        " holds the record, its proof and the signatures; the package is verified without the Exchange:"
    )
    made.code(["exchange audit verify package.zip --public-key <the log's key>"])
    made.facts(
        [
            ("Place in the log", f"{proof['index']} of {head['size']} records"),
            ("Root", head["root"]),
            ("Signed", f"{head['at']} with key {head['key']}"),
            ("Signature", head["signature"]),
            ("Inclusion proof", " ".join(proof["proof"]) or "none is needed: the log has one record"),
        ],
        mono=("Root", "Signature", "Inclusion proof"),
    )
    return made.render()


def _form_paper(filed: dict[str, Any]) -> bytes:
    from partners import paper  # noqa: PLC0415 - as above

    marking = f"TLP:{filed['tlp'].upper()}"
    made = paper.Paper(
        defanged_text(filed["title"]), subtitle=f"Report of {filed['from']} to {filed['to']}", marking=marking
    )
    counts, line = filed["counts"], filed["time_line"]
    made.text("Counts are powers of ten: 10^1 is 10 to 99. Measures are what publishers did; none is recommended.")
    made.facts(
        [
            ("Package", filed["package"]),
            ("Objects", counts["objects"]),
            ("Publishers", counts["publishers"]),
            ("First seen", line["first_seen"] or "not said"),
            ("Last seen", line["last_seen"] or "not said"),
        ],
        mono=("Package",),
    )
    for heading, first, rows in (
        (
            "Legal bases",
            "Group and basis",
            [(f"{one['name']}: {one['reference']}", one["from"]) for one in filed["bases"]],
        ),
        ("Counts by kind", "Kind", list(counts["by_kind"].items())),
        ("Techniques that indicators name", "Technique", list(filed["techniques"]["named"].items())),
        ("Techniques that are described", "Technique", _known(filed["techniques"]["described"])),
        ("Time line", "Day", [(one["day"], one["objects"]) for one in line["published"]]),
        ("Measures taken", "Measure", list(filed["measures"]["taken"].items())),
        (
            "Measures that are described",
            "Measure",
            [(one["name"], one["id"]) for one in filed["measures"]["described"]],
        ),
    ):
        made.heading(heading)
        made.table((first, _SECOND.get(heading, "Objects")), rows, widths=(8, 5), empty="None is said.")
    return made.render()


#: What stands beside the first column, where it is not a count.
_SECOND = {
    "Legal bases": "In force from",
    "Techniques that are described": "Known as",
    "Measures that are described": "Id",
}


def _known(described: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["name"], "; ".join(one["known_as"]) or one["id"]) for one in described]


def _terms(cover: dict[str, Any]) -> list[tuple[str, str]]:
    said = cover["terms"]
    given = ("Given as", ", ".join(cover["given_as"]))
    if said is None:
        return [("Terms", "None are recorded for this recipient: the rule of visibility alone decides."), given]
    return [
        ("Jurisdiction", said["jurisdiction"]),
        ("Basis", said["reference"]),
        ("In force", f"{said['from']} to {said['until'] or 'further notice'}"),
        ("At the strictest", f"TLP:{said['strictest'].upper()}"),
        given,
    ]


def _appeals(told: dict[str, Any]) -> list[tuple[str, str]]:
    hours = "-" if told["median_hours"] is None else f"{told['median_hours']} hours"
    answered = f"{told['kept']} kept, {told['ended']} ended, {told['open']} open"
    return [
        (f"In {told['days']} days", f"{told['received']} received: {answered}"),
        ("Median time to an answer", hours),
        ("Late", str(told["late"])),
    ]


def _minute(moment: str) -> str:
    return f"{moment[:10]} {moment[11:16]} UTC"
