"""The names of a partner's own people and keys, for its own pages."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from django.utils.translation import gettext

from partners.models import ApiKey, User
from partners.viewer import Viewer


def names(viewer: Viewer, actors: AbstractSet[str]) -> dict[str, str]:
    """How those of the viewer's own partner are called: people as they sign in, keys by name and id.

    Whoever is not of it is left out. A query for people and one for keys, where there are any.
    """
    own = {"partner_id": viewer.partner_id}
    people = [int(pk) for kind, _, pk in (actor.partition(":") for actor in actors) if kind == "user"]
    keys = [public_id for kind, _, public_id in (actor.partition(":") for actor in actors) if kind == "key"]
    users = User.objects.filter(pk__in=people, **own).values_list("pk", "username") if people else ()
    held = ApiKey.objects.filter(public_id__in=keys, **own).values_list("public_id", "name") if keys else ()
    return {f"user:{pk}": name for pk, name in users} | {
        f"key:{pk}": gettext("key {name} ({pk})").format(name=name, pk=pk) for pk, name in held
    }
