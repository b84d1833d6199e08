"""The log that cannot be rewritten: records get a place in a Merkle tree (RFC 9162), and its roots are signed.

Whoever writes a record waits for nobody: it has no place yet. At the turn of each interval one sealer gives all that
waits its places, in an order that is drawn, keeps the hashes of perfect subtrees so that proofs read a few rows, and
signs the head: all of it in one transaction. So no place tells who else did what in between, and the size moves with
the clock alone. The only writer of AuditLeaf, AuditNode, AuditKey and TreeHead.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from exchange import clock
from exchange.celery import app
from exchange.client import merkle, statements
from exchange.errors import NotFound, Refused
from partners.log import audit, logkeys
from partners.models import AuditKey, AuditLeaf, AuditNode, AuditRecord, AuditWaiting, TreeHead

#: Key of the advisory lock under which records get their places: "leav".
_SEQUENCE_LOCK = 0x6C656176
_PAGE = 2_000
#: So many records are sealed under one head at most; what is left waits for the next.
_MOST_SEALED = 200_000
_DRAW = random.SystemRandom()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_Peak = tuple[int, int, bytes]


def seal(*, every: timedelta | None = None, limit: int = _MOST_SEALED) -> TreeHead | None:
    """Give what was written before the last turn of the interval its places, in a drawn order, and sign the tree.

    The new head, or None where nothing is to be sealed, this interval has its head, or another sealer is at work.
    `every` is the interval, LOG_SECONDS by default; without one (0), all that waits is sealed now.
    """
    every = timedelta(seconds=settings.LOG_SECONDS) if every is None else every
    moment = _turn(clock.now(), every)
    with transaction.atomic():
        if not _alone():
            return None
        size, last = tree_size(), head()
        if last is not None and every and last.at >= moment:
            return None
        size += _place(_waiting(moment if every else None, limit=limit), after=size)
        if size == 0 or (last is not None and last.size == size):
            return None
        root = merkle.fold([peak for _, _, peak in _peaks(size)])
        key = _present_key()
        text = statements.head_text(size=size, root=root.hex(), at=clock.rfc3339(moment))
        return TreeHead.objects.create(size=size, root=root, at=moment, key=key, signature=logkeys.sign(text))


def _turn(moment: datetime, every: timedelta) -> datetime:
    """The last turn of the interval: when a head is signed says nothing about when somebody did something."""
    return moment - (moment - _EPOCH) % every if every else moment


def _waiting(before: datetime | None, *, limit: int) -> list[tuple[int, bytes]]:
    """Records without a place and the hashes of their leaves, the oldest of them in a drawn order."""
    found = AuditWaiting.objects.order_by("record_id").values_list("record_id", "record__leaf_hash")
    within = found if before is None else found.filter(record__at__lt=before)
    rows = [(record_id, bytes(leaf_hash)) for record_id, leaf_hash in within[:limit]]
    _DRAW.shuffle(rows)
    return rows


def _place(rows: Sequence[tuple[int, bytes]], *, after: int) -> int:
    """Append leaves; how many."""
    peaks = _peaks(after)
    for start in range(0, len(rows), _PAGE):
        page = rows[start : start + _PAGE]
        nodes: list[AuditNode] = []
        leaves = []
        for index, (record_id, leaf_hash) in enumerate(page, start=after + start):
            leaves.append(AuditLeaf(index=index, record_id=record_id, leaf_hash=leaf_hash))
            nodes += _grow(peaks, (0, index, leaf_hash))
        AuditLeaf.objects.bulk_create(leaves)
        AuditNode.objects.bulk_create(nodes)
        AuditWaiting.objects.filter(record_id__in=[record_id for record_id, _ in page]).delete()
    return len(rows)


def head() -> TreeHead | None:
    """The last published head."""
    return TreeHead.objects.order_by("-size").first()


def head_of(size: int) -> TreeHead:
    """The published head of this size. Raises NotFound: proofs refer to what was published, and to nothing else."""
    found = TreeHead.objects.filter(size=size).first()
    if found is None:
        raise NotFound("No head of this size was published.")
    return found


def tree_size() -> int:
    """How many records have a place."""
    last = AuditLeaf.objects.order_by("-index").values_list("index", flat=True).first()
    return 0 if last is None else last + 1


def inclusion_proofs(indexes: Iterable[int], *, size: int) -> dict[int, list[str]]:
    """For each place, the hashes that prove it is in the tree of `size` leaves. One query."""
    spans = {index: merkle.inclusion_spans(index, size) for index in indexes}
    found = _span_hashes(span for path in spans.values() for span in path)
    return {index: [found[span] for span in path] for index, path in spans.items()}


def consistency_proof(first: int, second: int) -> list[str]:
    """The hashes that prove that the tree of `second` leaves begins with that of `first`. One query."""
    if not 0 < first <= second:
        raise Refused("The first tree is not empty, and not larger than the second.", code="bad-sizes", at="/first")
    spans = merkle.consistency_spans(first, second)
    found = _span_hashes(spans)
    return [found[span] for span in spans]


def last_record() -> int:
    """The highest id of a record, placed or waiting: it only grows."""
    return AuditRecord.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def head_document(found: TreeHead) -> dict[str, Any]:
    """A signed head, as every surface shows it."""
    return {
        "size": found.size,
        "root": bytes(found.root).hex(),
        "at": clock.rfc3339(found.at),
        "key": found.key_id,
        "signature": base64.b64encode(bytes(found.signature)).decode(),
    }


def key_documents() -> list[dict[str, Any]]:
    """The public keys that have signed heads, oldest first; the last one signs now."""
    keys = list(AuditKey.objects.order_by("since", "key_id"))
    if all(key.key_id != logkeys.key_id() for key in keys):  # it was changed, and its first head is still to come
        keys.append(AuditKey(key_id=logkeys.key_id(), public_key=logkeys.public_key(), since=clock.now()))
    return [
        {
            "id": key.key_id,
            "public_key": base64.b64encode(bytes(key.public_key)).decode(),
            "since": clock.rfc3339(key.since),
        }
        for key in keys
    ]


def hashes(nodes: Iterable[merkle.Node]) -> dict[merkle.Node, bytes]:
    """The stored hashes of perfect subtrees; one that is missing is missing."""
    wanted = sorted(set(nodes))
    with connection.cursor() as cursor:
        cursor.execute(
            _NODES,
            {
                "leaves": [index for level, index in wanted if level == 0],
                "levels": [level for level, _ in wanted if level],
                "places": [index for level, index in wanted if level],
            },
        )
        return {(level, index): bytes(found) for level, index, found in cursor.fetchall()}


class Broken(RuntimeError):
    """The store lacks a leaf or a node that was there: somebody has been at the tables. See `audit_verify`."""


def _span_hashes(spans: Iterable[merkle.Span]) -> dict[merkle.Span, str]:
    covers = {span: merkle.cover(span) for span in spans}
    found = hashes(node for nodes in covers.values() for node in nodes)
    try:
        return {span: merkle.fold([found[node] for node in nodes]).hex() for span, nodes in covers.items()}
    except KeyError as missing:
        raise Broken(f"the log lacks the hash of {missing}") from None


def _peaks(size: int) -> list[_Peak]:
    """The perfect subtrees of a tree, from left to right."""
    nodes = merkle.cover((0, size))
    found = hashes(nodes)
    missing = [node for node in nodes if node not in found]
    if missing:
        raise Broken(f"the log lacks the hashes of {missing}")
    return [(level, index, found[level, index]) for level, index in nodes]


def _grow(peaks: list[_Peak], new: _Peak) -> Iterator[AuditNode]:
    """Add a leaf: like a carry, it joins each peak of its height. Yields the nodes that come to be."""
    level, index, found = new
    while peaks and peaks[-1][0] == level:
        _, _, left = peaks.pop()
        level, index, found = level + 1, index >> 1, merkle.node_hash(left, found)
        yield AuditNode(level=level, index=index, hash=found)
    peaks.append((level, index, found))


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_SEQUENCE_LOCK])
        return bool(cursor.fetchone()[0])


def begin_with_present_key() -> None:
    """Write down that the present key signs from now on, so that the next head is signed with it and covers that."""
    with transaction.atomic():
        _present_key()


def _present_key() -> AuditKey:
    """The row of the key that signs now; its first use is a record of its own."""
    key, new = AuditKey.objects.get_or_create(key_id=logkeys.key_id(), defaults={"public_key": logkeys.public_key()})
    if new:
        audit.record(audit.Verb.LOG_KEY_USED, by=None, target=f"log-key:{key.key_id}")
    return key


_NODES = """
SELECT 0, index, leaf_hash FROM partners_auditleaf WHERE index = ANY(%(leaves)s::bigint[])
UNION ALL
SELECT n.level, n.index, n.hash
FROM unnest(%(levels)s::smallint[], %(places)s::bigint[]) AS wanted(level, index)
JOIN partners_auditnode n ON n.level = wanted.level AND n.index = wanted.index
"""


def verify() -> Iterator[str]:
    """Compute everything anew from the records and compare it with what is stored and signed; yields each finding.

    Reads every record once, in the order of the tree, in one snapshot; memory does not grow with the log.
    """
    with transaction.atomic():
        if not connection.savepoint_ids:  # inside another transaction its isolation stands
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield from _verify_leaves()
        yield from _verify_the_waiting()


def _verify_leaves() -> Iterator[str]:
    heads = {found.size: found for found in TreeHead.objects.select_related("key")}
    peaks: list[_Peak] = []
    expected = 0
    rows = AuditLeaf.objects.order_by("index").values_list("index", "leaf_hash", "record_id").iterator(chunk_size=_PAGE)
    for page in _pages(rows):
        records = AuditRecord.objects.in_bulk([record_id for _, _, record_id in page])
        made: list[AuditNode] = []
        for index, leaf_hash, record_id in page:
            if index != expected:
                yield f"leaf {expected}: missing"
                yield "nothing after a missing leaf can be compared"
                return
            found = records.get(record_id)
            if found is None:
                yield f"leaf {index}: its record is missing"
                computed = bytes(leaf_hash)
            else:
                computed = merkle.leaf_hash(audit.canonical(found))
                if computed != bytes(found.leaf_hash):
                    yield f"leaf {index}: the record is not what was written (record {found.pk}, {found.verb})"
                elif computed != bytes(leaf_hash):
                    yield f"leaf {index}: the leaf is not that of its record (record {found.pk}, {found.verb})"
            made += _grow(peaks, (0, index, computed))
            expected += 1
            if expected in heads:
                yield from _verify_head(heads.pop(expected), merkle.fold([peak for _, _, peak in peaks]))
        yield from _verify_nodes(made)
    for size in sorted(heads):
        yield f"head {size}: the log has {expected} leaves only"
    count = sum(expected >> level for level in range(1, expected.bit_length()))
    if (stored := AuditNode.objects.count()) != count:
        yield f"nodes: {stored} are stored, {count} belong to {expected} leaves"


def _verify_head(found: TreeHead, root: bytes) -> Iterator[str]:
    public_key = bytes(found.key.public_key)
    document = head_document(found)
    text = statements.head_text(size=found.size, root=document["root"], at=document["at"])
    if statements.key_id(public_key) != found.key_id or not statements.is_signed(
        text, signature=document["signature"], public_key=public_key
    ):
        yield f"head {found.size}: the signature is not that of key {found.key_id}"
    if bytes(found.root) != root:
        yield f"head {found.size}: the records do not give the root that was signed on {document['at']}"


def _verify_nodes(made: Sequence[AuditNode]) -> Iterator[str]:
    stored = hashes((node.level, node.index) for node in made)
    for node in made:
        if stored.get((node.level, node.index)) != node.hash:
            yield f"node {node.level}/{node.index}: missing, or not the hash of its leaves"


def _verify_the_waiting() -> Iterator[str]:
    """Every record has a leaf, or waits for one; what waits is as it was written."""
    with connection.cursor() as cursor:
        cursor.execute(_LOST)
        for (record_id,) in cursor.fetchall():
            yield f"record {record_id}: has no leaf, and does not wait for one"
    for waiting in AuditWaiting.objects.select_related("record").order_by("record_id").iterator(chunk_size=_PAGE):
        if merkle.leaf_hash(audit.canonical(waiting.record)) != bytes(waiting.record.leaf_hash):
            yield f"record {waiting.record_id}: is not what was written, and waits for its leaf"


_LOST = """
SELECT r.id FROM partners_auditrecord r
WHERE NOT EXISTS (SELECT FROM partners_auditleaf l WHERE l.record_id = r.id)
  AND NOT EXISTS (SELECT FROM partners_auditwaiting w WHERE w.record_id = r.id)
ORDER BY r.id
"""


def _pages(rows: Iterator[Any]) -> Iterator[list[Any]]:
    page: list[Any] = []
    for row in rows:
        page.append(row)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


@app.task(name="partners.log.transparency.catch_up")
def catch_up() -> None:
    """Seal what waits, once the interval has turned."""
    seal()
