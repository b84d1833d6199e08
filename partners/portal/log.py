"""Counsel's view: what was shared with whom, under which basis, in which period; and the exports of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import FileResponse, HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from exchange import clock, paging
from exchange.errors import NotFound
from exchange.parameters import Parameters
from exchange.templatetags.house import event
from exchange.translating import later
from partners.groups import directory
from partners.log import logbook, logkeys, transparency
from partners.models import AuditRecord, TreeHead
from partners.portal import actors
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

if TYPE_CHECKING:
    from partners import paper

_PAGE = 50
_ON_PAPER = 5_000
_KNOWN = ("since", "until", "verb", "group", "partner", "cursor")
#: Left to the export: for machines, or shown elsewhere.
_UNSAID = frozenset({"seq", "bases", "bundle_sha256"})
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
#: How many, as the log tells it: a power of ten.
_BUCKET = re.compile(r"10\^(\d)", re.ASCII)
_TO = {"everyone": later("Every partner"), "nobody": later("Nobody else")}


@require_safe
@page
def log(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Totals, bases and records of a period, and the state of the log."""
    _require_counsel(viewer)
    asked = Parameters(request, known=_KNOWN)
    wanted = _wanted(asked)
    cursor = asked.text("cursor")
    before = int(paging.unseal(cursor, viewer=viewer.partner_id, scope=wanted.scope)[0]) if cursor else None
    found = logbook.records(viewer, wanted, before=before, limit=_PAGE + 1)
    more, found = len(found) > _PAGE, found[:_PAGE]
    following = paging.seal([found[-1].pk], viewer=viewer.partner_id, scope=wanted.scope) if more else ""
    head = transparency.head()
    kept = {name: asked.text(name) for name in _KNOWN if name != "cursor" and asked.text(name)}
    groups = directory.groups(viewer)
    return show(
        request,
        viewer,
        "partners/log.html",
        here="log",
        asked=kept,
        query=urlencode(kept),
        totals=_totals(viewer, wanted),
        bases=[(base, _day(base["from"]), _day(base["until"])) for base in logbook.bases(viewer, wanted)],
        records=_rows(viewer, found, under=head),
        verbs=logbook.verbs(viewer),
        groups=groups,
        partners=directory.partners(),
        head=transparency.head_document(head) if head else None,
        head_at=head.at if head else None,
        key=logkeys.key_id(),
        first=not cursor,
        following=urlencode({**kept, "cursor": following}) if following else "",
    )


def _day(said: str | None) -> date | None:
    return date.fromisoformat(said) if said else None


@require_safe
@page
def export(request: HttpRequest, viewer: Viewer) -> FileResponse:
    """The records of the filters as signed JSON Lines."""
    _require_counsel(viewer)
    file = logbook.export(viewer, _wanted(Parameters(request, known=_KNOWN)))
    name = f"exchange-log-{viewer.partner_slug}-{clock.now():%Y-%m-%d}.jsonl"
    return FileResponse(file, as_attachment=True, filename=name, content_type="application/x-ndjson")


@require_safe
@page
def pdf(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The same on paper."""
    _require_counsel(viewer)
    wanted = _wanted(Parameters(request, known=_KNOWN))
    name = f"exchange-log-{viewer.partner_slug}-{clock.now():%Y-%m-%d}.pdf"
    return HttpResponse(
        _paper(viewer, wanted),
        content_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _require_counsel(viewer: Viewer) -> None:
    """Whoever may not audit is told what is told of any address that does not exist."""
    if Scope.AUDIT not in viewer.scopes:
        raise NotFound


def _wanted(asked: Parameters) -> logbook.Asked:
    return logbook.Asked(
        since=asked.day("since"),
        until=asked.day("until"),
        verb=asked.text("verb"),
        group=asked.text("group"),
        partner=asked.text("partner"),
    )


def _totals(viewer: Viewer, wanted: logbook.Asked) -> list[dict[str, Any]]:
    names = {group.slug: group.name for group in directory.groups(viewer)}
    partners = {partner.slug: partner.name for partner in directory.partners()}
    return [
        asdict(total)
        | {"name": str(_TO.get(total.to) or (names if total.to == "group" else partners).get(total.name, total.name))}
        for total in logbook.totals(viewer, wanted)
    ]


def _rows(viewer: Viewer, records: Iterable[AuditRecord], *, under: TreeHead | None) -> list[dict[str, Any]]:
    """Records as people read them, with the names of the own people and keys."""
    found = list(records)
    names = actors.names(viewer, {record.actor for record in found})
    return [
        {
            "at": record.at,
            "verb": record.verb,
            "actor": names.get(record.actor, record.actor),
            "target": record.target,
            "words": summary(record),
            "index": logbook.index_of(record, under=under),
            "leaf": bytes(record.leaf_hash).hex(),
        }
        for record in found
    ]


def summary(record: AuditRecord) -> str:
    """What a record says, in a line: for the batch whom it reached, for the rest its details."""
    details = record.details
    if record.verb == "batch.published":
        told = [f"{count} {word}" for word, count in details.get("counts", {}).items() if count]
        for what, preposition in (("shared", "to"), ("withdrawn", "from"), ("narrowed", gettext("out of sight of"))):
            told += [f"{what}: {_objects(part)} {preposition} {_reach(part)}" for part in details.get(what, ())]
        return "; ".join(told)
    said = ((name, value) for name, value in details.items() if name not in _UNSAID and value not in (None, "", [], {}))
    return "; ".join(f"{_word(name)} {_value(value)}" for name, value in said)


def _word(name: str) -> str:
    return name.replace("_", " ")


def _objects(part: dict[str, Any]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in part["objects"].items())


def _reach(part: dict[str, Any]) -> str:
    if part.get("everyone"):
        reached = gettext("every partner")
    else:
        reached = ", ".join([*part.get("groups", ()), *part.get("partners", ())]) or gettext("nobody else")
    return (
        gettext("{reached} (TLP:{upper})").format(reached=reached, upper=part["tlp"].upper())
        if "tlp" in part
        else reached
    )


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(item)}" for name, item in value.items()) or "-"
    text = str(value) if value not in ("", None) else "-"
    if bucket := _BUCKET.fullmatch(text):
        return f"~ {10 ** int(bucket[1]):,}"
    return f"{text[:10]} {text[11:16]} UTC" if _MOMENT.fullmatch(text) else text


def _paper(viewer: Viewer, wanted: logbook.Asked) -> bytes:
    from partners import paper  # noqa: PLC0415 - 6 MB of a process, and few make a document on paper

    head = transparency.head()
    made = paper.Paper(
        gettext("What {partner_name} shared").format(partner_name=viewer.partner_name),
        subtitle=_period(wanted),
        marking="TLP:AMBER+STRICT",
    )
    made.text(
        gettext(
            "From the audit log of the Exchange, for {partner_name}, made on {now} UTC. It names what the"
            " partner itself did; records hold counts and names, no content."
        ).format(partner_name=viewer.partner_name, now=f"{clock.now():%d %B %Y at %H:%M}")
    )
    made.heading(gettext("Shared, by recipient and kind"))
    totals = [(total["name"], total["kind"], f"{total['objects']:,}") for total in _totals(viewer, wanted)]
    made.table(
        (gettext("With"), gettext("Kind"), gettext("Objects")),
        totals,
        widths=(4, 4, 2),
        empty=gettext("Nothing was shared in this period."),
    )
    made.heading(gettext("Legal bases at the time"))
    held = [
        (base["name"], base["reference"], base["from"], base["until"] or gettext("further notice"))
        for base in logbook.bases(viewer, wanted)
    ]
    made.table(
        (gettext("Group"), gettext("Basis"), gettext("From"), gettext("Until")),
        held,
        widths=(3, 6, 2, 2),
        empty=gettext("Nothing went to a group."),
    )
    made.heading(gettext("Records"))
    found = logbook.records(viewer, wanted, limit=_ON_PAPER + 1)
    if len(found) > _ON_PAPER:
        made.text(
            gettext("The newest {_ON_PAPER} records; the export as JSON Lines holds them all.").format(
                _ON_PAPER=f"{_ON_PAPER:,}"
            )
        )
    rows = [
        (
            f"{row['at']:%Y-%m-%d %H:%M:%S}",
            "-" if row["index"] is None else str(row["index"]),
            event(row["verb"]),
            row["actor"],
            f"{row['target']}: {row['words']}" if row["words"] else row["target"],
        )
        for row in _rows(viewer, found[:_ON_PAPER], under=head)
    ]
    made.table(
        (gettext("Time (UTC)"), gettext("Place"), gettext("What"), gettext("Who"), gettext("Details")),
        rows,
        widths=(3, 1.4, 3, 2.6, 7),
        empty=gettext("No record."),
    )
    _how_to_verify(made, head)
    return made.render()


def _period(wanted: logbook.Asked) -> str:
    since = f"{wanted.since:%d %B %Y}" if wanted.since else gettext("the beginning")
    until = f"{wanted.until:%d %B %Y}" if wanted.until else "today"
    only = [f"{name} {value}" for name, value in (("verb", wanted.verb), ("group", wanted.group)) if value]
    only += [gettext("partner {partner}").format(partner=wanted.partner)] if wanted.partner else []
    return gettext("From {since} to {until}").format(since=since, until=until) + (
        gettext("; only {n}").format(n=", ".join(only)) if only else ""
    )


def _how_to_verify(made: paper.Paper, head: TreeHead | None) -> None:
    made.heading(gettext("How to verify"))
    if head is None:
        made.text(gettext("No head of the log was published yet."))
        return
    signed = transparency.head_document(head)
    made.text(
        gettext(
            "Each record is a leaf of a Merkle tree (RFC 9162) whose root is signed (Ed25519). The place of a record is"
            " its index under this head; a record without one is covered by the next head. Paper proves nothing by"
            " itself: the export as signed JSON Lines holds each record with its proof, and is verified without the"
            " Exchange."
        )
    )
    made.facts(
        [
            (gettext("Records covered"), f"{signed['size']:,}"),
            (gettext("Root"), signed["root"]),
            (gettext("Signed at"), signed["at"]),
            (gettext("Key"), signed["key"]),
            (gettext("Signature"), signed["signature"]),
        ],
        mono=(gettext("Root"), gettext("Key"), gettext("Signature")),
    )
    made.code(
        (
            "exchange audit export -o log.jsonl",
            "exchange audit verify log.jsonl --public-key <the log's key> --head <a head you kept>",
        )
    )
