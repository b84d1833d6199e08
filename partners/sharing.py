"""The one visibility rule: who may see what, and to whom a publisher may show it.

Every surface asks `visible_to` (on a manager) or `audiences_visible_to` (for SQL that must not join), and
nothing else decides. The rule is asked of `Audience`, a small table; content carries an `audience_id`.

    A viewer sees an object if it published it, or if its clearance reaches the object's marking and the
    audience is everyone, or names the viewer, or names a group of the viewer's and the marking is not RED.
    Nobody sees what its publisher has withdrawn.

An audience is stored with the channels that carry what it says (`channels`), and a partner with those that it has open,
so the rule is one operator: do they overlap?
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection, models
from django.db.models import Q, QuerySet

from exchange import clock
from exchange.errors import Forbidden, Refused
from partners import channels
from partners.attribution import Attribution
from partners.audiences import AudienceSpec, Standing
from partners.ceilings import Width
from partners.defaults import DefaultAudience
from partners.models import Audience, Channel, Group, Partner, Sight
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer


class NoViewer(RuntimeError):
    """A shared table was read without saying who is looking."""


def mine(viewer: Viewer) -> QuerySet[Sight]:
    """The channels that the viewer has open; a key for some groups has those of its groups, and what goes to none."""
    opened = Sight.objects.filter(partner=viewer.partner_id, until=None)
    if viewer.limited:
        opened = opened.filter(Q(group=None) | Q(group__in=sorted(viewer.group_ids)))
    return opened


def audiences_visible_to(viewer: Viewer) -> QuerySet[Audience]:
    """The rule: the audiences whose objects `viewer` may see."""
    return Audience.objects.filter(channels__overlap=ArraySubquery(mine(viewer).values("channel")))


def own_audiences(viewer: Viewer) -> QuerySet[Audience]:
    """Of these the audiences of what `viewer` itself published."""
    return audiences_visible_to(viewer).filter(publisher=viewer.partner_id, use=Audience.Use.OBJECTS)


def who_sees(audiences: Collection[int], viewers: Iterable[Viewer]) -> dict[int, frozenset[UUID]]:
    """By audience, which of these viewers' partners see it: the rule, asked for all of them in one query."""
    found: dict[int, set[UUID]] = {audience: set() for audience in audiences}
    with connection.cursor() as cursor:
        cursor.execute(_WHO_SEES, [list(audiences), [viewer.partner_id for viewer in viewers]])
        for audience, partner in cursor.fetchall():
            found[audience].add(partner)
    return {audience: frozenset(partners) for audience, partners in found.items()}


def channels_of(viewer: Viewer) -> dict[int, Channel]:
    """The channels that the viewer has open, by id: one of them in `audience.channels` is why it sees an object."""
    return {one.channel_id: one.channel for one in mine(viewer).select_related("channel")}


def how_many_see(spec: AudienceSpec, *, publisher_id: UUID) -> int:
    """How many partners besides its publisher see what is shared like this: the rule, asked now. Two queries."""
    carried = channels.of_spec(spec, publisher_id=publisher_id)
    sees = Sight.objects.filter(channel__in=carried, until=None, partner__state=Partner.State.ACTIVE)
    return sees.exclude(partner=publisher_id).values("partner").distinct().count()


_WHO_SEES = """
SELECT DISTINCT a.id, s.partner_id
FROM partners_audience a CROSS JOIN LATERAL unnest(a.channels) c(id)
JOIN partners_sight s ON s.channel_id = c.id AND s.until IS NULL
WHERE a.id = ANY(%s) AND s.partner_id = ANY(%s)
"""


def audience_ids(viewer: Viewer, *, own: bool = False) -> list[int]:
    """The same rule as plain ids, for hand-written SQL; `own` narrows to what the viewer itself published."""
    sql, parameters = rule_sql(viewer, own=own)
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [pk for (pk,) in cursor.fetchall()]


@lru_cache(maxsize=1_024)
def rule_sql(viewer: Viewer, *, own: bool = False) -> tuple[str, tuple[Any, ...]]:
    """The rule as SQL that returns ids in order: written once per viewer, for writing it takes longer than asking it.

    It depends on nothing but the viewer, whose groups and clearance are read, or confirmed, with every request.
    """
    allowed = own_audiences(viewer) if own else audiences_visible_to(viewer)
    return allowed.order_by("pk").values_list("pk", flat=True).query.sql_with_params()


_M = TypeVar("_M", bound=models.Model)


class SharedManager(models.Manager[_M]):
    """A manager that refuses every query which names no viewer.

    `paths` are the relations that lead to the audiences which must all be visible: a row's own, its
    parent's, or those of both ends of a link.
    """

    def __init__(self, *paths: str) -> None:
        super().__init__()
        self._paths = paths or ("audience",)

    def get_queryset(self) -> QuerySet[_M]:
        """Refuse."""
        raise NoViewer(f"{self.model.__name__} is shared: say visible_to(viewer)")

    def visible_to(self, viewer: Viewer) -> QuerySet[_M]:
        """The rows that `viewer` may see; a row is never doubled by the rule."""
        allowed = audiences_visible_to(viewer).values("pk")
        rule: dict[str, Any] = {f"{path}__in": allowed for path in self._paths}
        return super().get_queryset().filter(**rule)


class OwnedManager(models.Manager[_M]):
    """A manager for a partner's own things (batches, feeds, subscriptions): asked through the viewer only."""

    def get_queryset(self) -> QuerySet[_M]:
        """Refuse."""
        raise NoViewer(f"{self.model.__name__} belongs to its partner: say of(viewer)")

    def of(self, viewer: Viewer) -> QuerySet[_M]:
        """The rows that belong to the viewer's partner."""
        owned: dict[str, Any] = {"partner_id": viewer.partner_id}
        return super().get_queryset().filter(**owned)


class Shared(models.Model):
    """Abstract: a row that its publisher shows to an audience.

    `objects` wants a viewer; `unrestricted` is for the writers, and a test lists who may name it.
    """

    # Neither has an index of its own: without statistics PostgreSQL would take it for a better way to a few rows
    # than the indexes that are made for the question.
    publisher = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    audience = models.ForeignKey(Audience, on_delete=models.PROTECT, related_name="+", db_index=False)

    if TYPE_CHECKING:
        audience_id: int
        publisher_id: UUID

    class Meta:
        abstract = True
        base_manager_name = "unrestricted"


def may_share(
    by: Viewer,
    *,
    tlp: Tlp,
    everyone: bool,
    groups: Iterable[UUID],
    partners: Iterable[UUID],
    stands: Standing | None = None,
    known: Tlp | None = None,
) -> AudienceSpec:
    """Decide whether `by` may show an object to this audience; returns its canonical form.

    `known` is the marking of what is RED only while it waits for a definition. Raises what `addressed` and `check`
    raise, and Refused (`over-clearance`) for an ally's that is stricter than its clearance.
    """
    spec = addressed(by, tlp=tlp, everyone=everyone, groups=groups, partners=partners)
    check(by, spec, stands=stands)
    if by.kind == Partner.Kind.ALLY and (tlp if known is None else known) > by.clearance:
        words = f"An ally publishes within its clearance: {by.clearance.label} at the strictest."
        raise Refused(words, code="over-clearance", at="/tlp")
    return spec


def addressed(
    by: Viewer, *, tlp: Tlp, everyone: bool, groups: Iterable[UUID], partners: Iterable[UUID]
) -> AudienceSpec:
    """The canonical form of an audience that `by` names.

    Raises Forbidden without the publishing scope or for a recipient, Refused (422) where there is no such audience: a
    group that the publisher is not in (said in the same words as one that does not exist), or RED for more than
    named partners.
    """
    by.require(Scope.PUBLISH)
    if by.kind == Partner.Kind.RECIPIENT:
        raise Forbidden("A recipient reads; it does not publish.", code="recipient-may-not-publish")
    group_ids, partner_ids = set(groups), set(partners) - {by.partner_id}
    if not group_ids <= by.group_ids:
        raise Refused("The audience names a group that you are not in.", code="unknown-group", at="/groups")
    if tlp is Tlp.RED and (everyone or group_ids):
        raise Refused("TLP:RED goes to named partners only.", code="red-needs-names", at="/tlp")
    if everyone:
        return AudienceSpec(tlp, everyone=True)
    return AudienceSpec(tlp, groups=tuple(sorted(group_ids)), partners=tuple(sorted(partner_ids)))


def check(by: Viewer, spec: AudienceSpec, *, stands: Standing | None = None) -> None:
    """Refuse (422) an audience beyond the publisher's ceiling (`over-ceiling`), or a group that takes nothing new.

    A group takes nothing new while its legal basis is not in force (`basis-lapsed`) or while it is suspended
    (`group-suspended`). What is there already stays, and may be withdrawn.
    """
    if spec.tlp < by.ceiling.tlp:
        words = f"You may publish as {by.ceiling.tlp.label} at the most open."
        raise Refused(words, code="over-ceiling", at="/tlp")
    if spec.width < by.ceiling.width:
        at = "/everyone" if spec.everyone else "/groups"
        words = "groups and named partners" if by.ceiling.width is Width.GROUPS else "named partners"
        raise Refused(f"You may share with {words} only.", code="over-ceiling", at=at)
    for group in _groups(spec.groups, stands):
        if (why := why_closed(group, on=clock.now().date())) is not None:
            raise Refused(why[1], code=why[0], at="/groups")


def _groups(ids: Collection[UUID], stands: Standing | None) -> list[Group]:
    """Groups by name; asked for only where it is not known how their member stands."""
    if not ids:
        return []
    if stands is None:
        return list(Group.objects.filter(pk__in=ids).order_by("slug"))
    # One that was left meanwhile is not there; who publishes is asked again when it counts (`standing.asked_again`).
    return sorted((stands.groups[pk] for pk in ids if pk in stands.groups), key=lambda group: group.slug)


def why_closed(group: Group, *, on: date) -> tuple[str, str] | None:
    """Why a group takes nothing new on this day, as a code and a sentence; None if it does."""
    if group.closed_at is not None:
        return "group-closed", f"The group {group.slug} is dissolved."
    if group.suspended_at is not None:
        return "group-suspended", f"The group {group.slug} is suspended: nothing new goes into it."
    if on < group.basis_from:
        return "basis-lapsed", f"The legal basis of the group {group.slug} begins on {group.basis_from}."
    if group.basis_until is not None and group.basis_until < on:
        return "basis-lapsed", f"The legal basis of the group {group.slug} ended on {group.basis_until}."
    return None


def default_reach(
    by: Viewer, tlp: Tlp, *, stands: Standing | None = None, default: DefaultAudience | None = None
) -> AudienceSpec:
    """The audience of an object whose batch names none: the partner's `default`, by default as it is set now.

    RED goes to its partners only. Within the ceiling: who may not share with everyone shares with its groups. Groups
    that the viewer is not in, or that take nothing new, are left out. Raises what `may_share` raises, and Refused
    (`no-default-audience`) where nothing is set, or no group is left of those that are.
    """
    by.require(Scope.PUBLISH)
    chosen = default or by.default_audience
    if chosen is None:
        raise Refused(_NO_DEFAULT, code="no-default-audience", at="/audience")
    everyone = chosen.open_to_everyone and tlp <= Tlp.GREEN and by.ceiling.width is Width.EVERYONE
    groups = () if everyone or tlp is Tlp.RED else _open_to_new(by, chosen, stands)
    return may_share(
        by, tlp=tlp, everyone=everyone, groups=groups, partners=() if everyone else chosen.partners, stands=stands
    )


_HOW = "name groups, partners or everyone, or have an admin set one (portal: Overview; PATCH /api/v1/partner)."
_NO_DEFAULT = f"The push names no audience, and your partner has set none by default: {_HOW}"
_NONE_LEFT = f"The push names no audience, and of your default audience no group is left that you publish into: {_HOW}"


def _open_to_new(by: Viewer, default: DefaultAudience, stands: Standing | None) -> list[UUID]:
    """The groups of the default audience that take something new. Raises Refused where none of them does."""
    if not default.groups:
        return []
    if by.ceiling.width is Width.PARTNERS:
        if default.partners:
            return []
        raise Refused("You may share with named partners only: name them.", code="over-ceiling", at="/groups")
    today = clock.now().date()
    mine = _groups([group for group in default.groups if group in by.group_ids], stands)
    taking = [group.pk for group in mine if why_closed(group, on=today) is None]
    if not taking and not default.partners:
        why = next((why for group in mine if (why := why_closed(group, on=today)) is not None), None)
        code, words = why or ("no-default-audience", _NONE_LEFT)
        raise Refused(words, code=code, at="/groups")
    return taking


def intern_audience(by: Viewer, spec: AudienceSpec) -> int:
    """The id of the one row that stands for `spec`; made if it is new."""
    return _interned(
        publisher_id=by.partner_id,
        tlp=spec.tlp,
        everyone=spec.everyone,
        groups=list(spec.groups),
        partners=list(spec.partners),
        use=Audience.Use.OBJECTS,
        attribution=spec.attribution,
        channels=lambda: channels.of_spec(spec, publisher_id=by.partner_id),
    )


def _interned(*, channels: Callable[[], list[int]], **what: Any) -> int:
    """The id of the one row that says this; where it is new, its channels are asked for."""
    defaults: dict[str, Any] = {"channels": channels}
    row, _ = Audience.objects.get_or_create(**what, defaults=defaults)
    return row.pk


def intern_withdrawn(publisher_id: UUID, *, attribution: int = Attribution.NAMED) -> int:
    """The audience of what a publisher has taken back: nobody, not even the publisher."""
    row, _ = Audience.objects.get_or_create(
        publisher_id=publisher_id,
        tlp=Tlp.RED,
        everyone=False,
        groups=[],
        partners=[],
        use=Audience.Use.WITHDRAWN,
        attribution=attribution,
    )
    return row.pk


def groups_named(by: Viewer, slugs: Iterable[str]) -> list[UUID]:
    """Ids of the viewer's own groups with these slugs; any other slug is Refused like one that does not exist."""
    wanted = set(slugs)
    found = dict(Group.objects.filter(slug__in=wanted, pk__in=by.group_ids).values_list("slug", "pk"))
    if wanted - set(found):
        raise Refused("The audience names a group that you are not in.", code="unknown-group", at="/groups")
    return sorted(found.values())


def partners_named(slugs: Iterable[str]) -> list[UUID]:
    """Ids of the active partners with these slugs; the membership list is known to every partner."""
    wanted = set(slugs)
    found = dict(Partner.objects.filter(slug__in=wanted, state=Partner.State.ACTIVE).values_list("slug", "pk"))
    if wanted - set(found):
        raise Refused("The audience names somebody who is no partner.", code="unknown-partner", at="/partners")
    return sorted(found.values())
