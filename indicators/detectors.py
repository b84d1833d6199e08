"""A partner's detectors: the ids that its indicators may name, with what it calls them. The only writer of Detector.

What a detector is called is read by its partner alone; others read the id. Two partners may have the same id and learn
nothing of it.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from exchange import clock
from exchange.errors import Conflict, NotFound, Refused
from exchange.memory import Memory
from exchange.stix.schemas import DETECTOR, HEX_64, SEMANTIC_VERSION
from indicators.models import Detector
from partners.log import audit
from partners.models import Partner
from partners.scopes import Scope
from partners.viewer import Viewer

MOST = 1_000
_NAME_CHARS = 80
#: How long a process goes by what it read; an id that it does not know is looked up at once.
_REMEMBERED_S = 5.0
_REMEMBERED: Memory[UUID, tuple[frozenset[str], float]] = Memory(most=1_024)


def listed(viewer: Viewer) -> QuerySet[Detector]:
    """The detectors of the viewer's partner, by name, retired ones last."""
    viewer.require(Scope.READ)
    return Detector.objects.of(viewer).order_by("retired_at", "name", "code")


def register(viewer: Viewer, *, name: str, version: str = "", sha256: str = "", code: str = "") -> Detector:
    """Register a detector, under the id that is given or a new one. Raises Forbidden, Refused, Conflict."""
    viewer.require(Scope.PUBLISH)
    if code and not re.fullmatch(DETECTOR, code):
        raise Refused("d- and 8 lower-case hexadecimal digits, or nothing.", code="bad-id", at="/id")
    said = _checked(name=name, version=version, sha256=sha256)
    with transaction.atomic():
        Partner.objects.select_for_update(no_key=True).get(pk=viewer.partner_id)
        own = Detector.objects.of(viewer)
        if own.count() >= MOST:
            raise Conflict(f"A partner has at most {MOST:,} detectors.", code="too-many-detectors")
        if code and own.filter(code=code).exists():
            raise Conflict("You have registered this id before.", code="registered-already")
        while not code or own.filter(code=code).exists():
            code = f"d-{secrets.token_hex(4)}"
        made = Detector.unrestricted.create(partner_id=viewer.partner_id, code=code, actor=viewer.actor, **said)
        audit.record(audit.Verb.DETECTOR_REGISTERED, by=viewer, target=f"detector:{code}")
    _REMEMBERED.drop(viewer.partner_id)
    return made


def change(viewer: Viewer, code: str, **wanted: str) -> Detector:
    """Give it another `name`, `version` or `sha256`; what is left out stays. Raises Forbidden, NotFound, Refused."""
    viewer.require(Scope.PUBLISH)
    with transaction.atomic():
        found = find(viewer, code)
        said = _checked(**({"name": found.name, "version": found.version, "sha256": found.sha256} | wanted))
        changed = sorted(name for name, value in said.items() if getattr(found, name) != value)
        for name, value in said.items():
            setattr(found, name, value)
        found.save(update_fields=list(said))
        if changed:
            audit.record(audit.Verb.DETECTOR_CHANGED, by=viewer, target=f"detector:{code}", changed=changed)
    return found


def retire(viewer: Viewer, code: str) -> None:
    """Let no new version name it; what names it stays, and it keeps its name. Raises Forbidden, NotFound."""
    viewer.require(Scope.PUBLISH)
    with transaction.atomic():
        found = find(viewer, code)
        if found.retired_at is None:
            Detector.unrestricted.filter(pk=found.pk).update(retired_at=clock.now())
            audit.record(audit.Verb.DETECTOR_RETIRED, by=viewer, target=f"detector:{code}")
    _REMEMBERED.drop(viewer.partner_id)


def registered(partner_id: UUID, asked: Collection[str]) -> frozenset[str]:
    """Those that the partner's indicators may name, of what a batch names: none where it names none. A query at most.

    A retired one is let through for a few seconds more by processes that have just looked.
    """
    if not asked:
        return frozenset()
    held, moment = _REMEMBERED.get(partner_id), time.monotonic()
    if held is None or held[1] < moment or not held[0].issuperset(asked):
        mine = Detector.unrestricted.filter(partner=partner_id, retired_at=None)
        held = frozenset(mine.values_list("code", flat=True)), moment + _REMEMBERED_S
        _REMEMBERED.put(partner_id, held)
    return held[0]


def names(viewer: Viewer) -> dict[str, str]:
    """What the viewer's partner calls its detectors, by id. One query."""
    return dict(Detector.objects.of(viewer).values_list("code", "name"))


def find(viewer: Viewer, code: str) -> Detector:
    """One of the viewer's partner's own, locked where a transaction is open. Raises NotFound."""
    found = Detector.objects.of(viewer).select_for_update().filter(code=code).first()
    if found is None:
        raise NotFound
    return found


def _checked(*, name: str, version: str, sha256: str) -> dict[str, str]:
    tidy = " ".join(name.split())
    if not 1 <= len(tidy) <= _NAME_CHARS or not tidy.isprintable():
        raise Refused(f"1 to {_NAME_CHARS} printable characters.", code="bad-name", at="/name")
    if version and not re.fullmatch(SEMANTIC_VERSION, version):
        raise Refused("A semantic version of three numbers, such as 3.2.0.", code="bad-version", at="/version")
    if sha256 and not re.fullmatch(HEX_64, sha256):
        raise Refused("64 lower-case hexadecimal digits.", code="bad-digest", at="/sha256")
    return {"name": tidy, "version": version, "sha256": sha256}
