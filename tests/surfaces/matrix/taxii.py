"""Rows of TAXII; and more of its routes, for each kind of collection."""

from __future__ import annotations

from dataclasses import replace

from tests.surfaces.matrix.row import ABSENT, TAXII, Row

ROWS: dict[str, Row] = {
    "taxii-discovery": Row("/taxii2/", "key"),
    "taxii-discovery-without-slash": Row("/taxii2", "key"),
    "taxii-api-root": Row(TAXII, "key"),
    "taxii-status": Row(TAXII + "status/{batch}/", "owner", absent=TAXII + f"status/{ABSENT}/"),
    "taxii-collections": Row(TAXII + "collections/", "key"),
    "taxii-collection": Row(TAXII + "collections/{own}/", "owner", absent=TAXII + f"collections/{ABSENT}/"),
    "taxii-manifest": Row(TAXII + "collections/{everything}/manifest/", "key", shows=True),
    "taxii-objects": Row(TAXII + "collections/{everything}/objects/", "key", shows=True),
    "taxii-object": Row(
        TAXII + "collections/{everything}/objects/{object}/",
        "sees",
        shows=True,
        absent=TAXII + f"collections/{{everything}}/objects/indicator--{ABSENT}/",
    ),
    "taxii-versions": Row(
        TAXII + "collections/{everything}/objects/{object}/versions/",
        "sees",
        absent=TAXII + f"collections/{{everything}}/objects/indicator--{ABSENT}/versions/",
    ),
    "taxii-without-slash": Row(TAXII + "collections", "key"),
}

_OBJECT = "objects/{object}/"


def a_kind_of_collection(name: str, *, who: str, only: tuple[str, ...]) -> dict[str, Row]:
    """Every endpoint of one kind of collection, beside that of everything above."""
    path, absent = TAXII + f"collections/{{{name}}}/", TAXII + f"collections/{ABSENT}/"
    rows = {
        "taxii-collection": Row(path, who, absent=absent),
        "taxii-manifest": Row(path + "manifest/", who, shows=True, absent=absent + "manifest/"),
        "taxii-objects": Row(path + "objects/", who, shows=True, absent=absent + "objects/"),
        "taxii-object": Row(path + _OBJECT, who, shows=True, absent=absent + _OBJECT),
        "taxii-versions": Row(path + _OBJECT + "versions/", who, absent=absent + _OBJECT + "versions/"),
        "taxii-without-slash": Row(path + "objects", who, shows=True, absent=absent + "objects"),
    }
    return {f"{route} of {name}": replace(row, only=only) for route, row in rows.items()}


#: Rows beside the first of their route: the collections of a group and of a feed, also one that is read by its set
#: because it moves by itself, read and written.
MORE: dict[str, Row] = {
    **a_kind_of_collection("group", who="sees", only=("ring",)),
    **a_kind_of_collection("own-feed", who="owner", only=("everyone", "ring", "alone", "cygnus")),
    **a_kind_of_collection("moving-feed", who="owner", only=("everyone", "ring", "alone", "cygnus")),
    "taxii-objects written of group": Row(
        TAXII + "collections/{group}/objects/", "sees", method="post", absent=TAXII + f"collections/{ABSENT}/objects/"
    ),
    "taxii-objects written of own-feed": Row(TAXII + "collections/{own-feed}/objects/", "nobody", method="post"),
}
