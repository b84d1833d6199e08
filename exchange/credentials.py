"""How the credentials of partners begin and look: what logs, the web server and secret scanners know of one.

What is in one, and what it opens, `partners.keys` knows.
"""

from __future__ import annotations

#: How a key begins, and the token in the address of a list, which opens that list alone.
OF_KEY, OF_LIST = "exk_", "exl_"
#: Before the token, in the address of a list.
LISTS = "/api/v1/lists/"
#: As regular expressions: one that is whole (public id, secret, checksum); what a person names one by (its public id,
#: or all that they have of it); and what looks like the beginning of one.
WHOLE = rf"(?:{OF_KEY}|{OF_LIST})([a-z2-7]{{8}})_([a-z2-7]{{32}})([a-z2-7]{{7}})"
NAMED = rf"(?:{OF_KEY}|{OF_LIST})?([a-z2-7]{{8}})(?:_\S*)?"
BEGUN = rf"(?:{OF_KEY}|{OF_LIST})[a-z2-7]{{8}}_[a-z2-7]+"
