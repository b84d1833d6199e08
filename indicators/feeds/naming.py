"""Publishers and groups in filters: from the slugs that people write to the ids that are stored, and back.

A word that names nobody is an error: it would let nothing through, and under a `not` everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.db.models import Q

from exchange.errors import Refused
from indicators.feeds import tree
from indicators.feeds.tree import Node, Term
from partners.groups import directory
from partners.models import Group
from partners.viewer import Viewer

_REFUSED = {
    "publisher": ("There is no partner of this name.", "unknown-partner"),
    "group": ("You are in no group of this name.", "unknown-group"),
}


def with_ids(viewer: Viewer, node: Node, *, at: str = "/filter/publisher") -> Node:
    """The tree with ids. Raises Refused for a partner that there is not, or a group that is not the viewer's.

    Two queries at most, and none where neither is named.
    """
    ids: dict[tuple[str, str], str] = {}
    for field in ("publisher", "group"):
        said = _said(node, field)
        if not said:
            continue
        of = directory.known() if field == "publisher" else Group.objects.filter(pk__in=viewer.group_ids)
        named = Q(slug__in=said) | Q(pk__in=[one for one in said if _is_uuid(one)])
        for pk, slug in of.filter(named).values_list("pk", "slug"):
            ids |= {(field, str(pk)): str(pk), (field, slug): str(pk)}
        if any((field, one.lower() if _is_uuid(one) else one) not in ids for one in said):
            message, code = _REFUSED[field]
            raise Refused(message, code=code, at=at.replace("publisher", field))
    return _renamed(node, ids)


def with_slugs(node: Node) -> Node:
    """The tree with slugs, where what it names is there."""
    slugs: dict[tuple[str, str], str] = {}
    for field in _REFUSED:
        said = [one for one in _said(node, field) if _is_uuid(one)]
        if said:
            of = directory.known() if field == "publisher" else Group.objects.all()
            slugs |= {(field, str(pk)): slug for pk, slug in of.filter(pk__in=said).values_list("pk", "slug")}
    return _renamed(node, slugs)


def _said(node: Node, field: str) -> set[str]:
    return {str(value) for term in tree.terms(node) if term.field == field for value in term.values}


def _renamed(node: Node, names: Mapping[tuple[str, str], str]) -> Node:
    def rename(term: Term) -> Term:
        if term.field not in _REFUSED:
            return term
        values = [str(value).lower() if _is_uuid(str(value)) else str(value) for value in term.values]
        return tree.term(term.field, [names.get((term.field, value), value) for value in values], term.op)

    return tree.mapped(node, rename) if names else node


def _is_uuid(word: str) -> bool:
    try:
        return str(UUID(word)) == word.lower()
    except ValueError:
        return False
