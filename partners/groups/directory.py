"""Who is there: the directory that partners may read, and a viewer's own groups."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from partners.caps import Caps
from partners.ceilings import Width
from partners.models import Audience, Group, Membership, Partner
from partners.tlp import Tlp
from partners.viewer import Viewer


def partners() -> list[Partner]:
    """The active partners, by name. That somebody is a partner is known to every partner."""
    return list(Partner.objects.filter(state=Partner.State.ACTIVE).order_by("name"))


def known() -> QuerySet[Partner]:
    """Of whom every partner may know: all but those that are invited and have not come yet."""
    return Partner.objects.exclude(state=Partner.State.INVITED)


def groups(viewer: Viewer) -> list[Group]:
    """The viewer's own groups, by name, with their present members as `open_memberships`."""
    members = Membership.objects.filter(until=None).select_related("partner").order_by("partner__name")
    mine = Group.objects.filter(pk__in=viewer.group_ids).order_by("name")
    return list(mine.prefetch_related(Prefetch("memberships", queryset=members, to_attr="open_memberships")))


def slugs(viewer: Viewer) -> tuple[list[str], list[str]]:
    """Of the active partners, and of the viewer's own groups, both by name. Two queries."""
    active = Partner.objects.filter(state=Partner.State.ACTIVE).order_by("name")
    mine = Group.objects.filter(pk__in=viewer.group_ids).order_by("name")
    return list(active.values_list("slug", flat=True)), list(mine.values_list("slug", flat=True))


def ids_of(slugs: Iterable[str]) -> list[UUID]:
    """The ids of the partners with these slugs that take part or once did; unknown slugs are left out.

    Who is only invited is known to the operator alone.
    """
    return list(known().filter(slug__in=list(slugs)).order_by("pk").values_list("pk", flat=True))


def names_of_audience(audience: Audience) -> list[str]:
    """Whom an audience names, for the eyes of its publisher: everyone, groups, partners."""
    if audience.everyone:
        return ["Every partner"]
    groups = Group.objects.filter(pk__in=audience.groups).order_by("name").values_list("name", flat=True)
    partners = Partner.objects.filter(pk__in=audience.partners).order_by("name").values_list("name", flat=True)
    return [*groups, *partners] or ["Nobody else"]


def alone_words(viewer: Viewer) -> list[str]:
    """What one person or key of the viewer's partner may publish alone, in words; empty without a limit."""
    words = []
    if viewer.alone.tlp > Tlp.CLEAR:
        words.append(f"{viewer.alone.tlp.label} or stricter")
    if viewer.alone.width > Width.EVERYONE:
        words.append("to groups or named partners" if viewer.alone.width is Width.GROUPS else "to named partners")
    if viewer.alone_objects is not None:
        words.append(f"at most {viewer.alone_objects} objects within an hour")
    return words + caps_words(viewer.caps)


def caps_words(caps: Caps) -> list[str]:
    """What goes out in a day without a second person, in words; empty without a cap."""
    return [
        f"at most {most:,} {counted} within a day"
        for most, counted in (
            (caps.objects, "objects"),
            (caps.recipients, "recipients of objects"),
            (caps.broad, "broad values"),
        )
        if most is not None
    ]
