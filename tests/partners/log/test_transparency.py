"""The log: records get places in a Merkle tree, heads are signed, and whoever rewrites a row is found out."""

from __future__ import annotations

import io
import threading
from datetime import timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, IntegrityError, connection, transaction

from exchange import health
from exchange.client import merkle, statements
from exchange.errors import NotFound, Refused
from partners.log import audit, logbook, logkeys, transparency
from partners.models import AuditKey, AuditLeaf, AuditNode, AuditRecord, AuditWaiting, TreeHead
from tests import build
from tests.waiting import DEADLINE_S

ALWAYS = timedelta(0)


def written(count: int, **more) -> list[AuditRecord]:
    return [
        audit.write(audit.Verb.FEED_SAVED, partner_id=None, actor="system", target=f"feed:{n}", details=more)
        for n in range(count)
    ]


def hashes() -> list[bytes]:
    return [bytes(one) for one in AuditLeaf.objects.order_by("index").values_list("leaf_hash", flat=True)]


def root_of(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return merkle.node_hash(root_of(leaves[:k]), root_of(leaves[k:]))


@pytest.mark.django_db
def test_a_record_is_written_without_a_place_and_gets_one_with_the_next_head():
    records = written(3, note="für alle", n=1)
    assert AuditWaiting.objects.count() == 3
    assert not AuditLeaf.objects.exists()
    assert transparency.seal(every=ALWAYS).size == 3
    placed = dict(AuditLeaf.objects.values_list("record_id", "index"))
    assert set(placed) == {record.pk for record in records}
    assert sorted(placed.values()) == [0, 1, 2]
    stored = AuditRecord.objects.get(pk=records[0].pk)
    assert merkle.leaf_hash(audit.canonical(stored)) == bytes(stored.leaf_hash) == hashes()[placed[stored.pk]]
    assert len({bytes(one.nonce) for one in AuditRecord.objects.filter(pk__in=placed)}) == 3
    assert AuditWaiting.objects.count() == 1, "the use of the key, which is a record, too"


@pytest.mark.django_db
def test_the_order_under_a_head_is_drawn():
    """The place of a record says nothing about what was written before it: each place is as likely as any other."""
    seen = set()
    for _ in range(30):
        with transaction.atomic():
            records = written(8)
            transparency.seal(every=ALWAYS)
            seen.add(AuditLeaf.objects.get(record=records[7]).index)
            transaction.set_rollback(True)
    assert len(seen) >= 4


@pytest.mark.django_db
@pytest.mark.parametrize("hidden", [0, 1, 3, 7])
def test_until_the_interval_turns_nothing_that_a_key_can_read_moves(hidden):
    with time_machine.travel("2026-11-20T10:00:30Z", tick=False) as clock:
        written(3)
        clock.shift(timedelta(seconds=30))
        assert transparency.seal().size == 3
        clock.shift(timedelta(seconds=5))
        own = written(1)[0]
        written(hidden)
        for _ in range(10):  # as beat does
            clock.shift(timedelta(seconds=5))
            assert transparency.seal() is None
            assert transparency.head().size == transparency.tree_size() == 3
            assert logbook.index_of(own, under=transparency.head()) is None
        clock.shift(timedelta(seconds=6))
        written(1)  # in the new interval: not under this head
        assert transparency.seal().size == 3 + 1 + 1 + hidden
        assert transparency.head().at.isoformat() == "2026-11-20T10:02:00+00:00", "not the moment of anybody's act"


@pytest.mark.django_db(transaction=True)
def test_what_dies_while_it_seals_has_sealed_nothing(monkeypatch):
    written(5)

    def die(_text):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(logkeys, "sign", die)
        with pytest.raises(KeyboardInterrupt):
            transparency.seal(every=ALWAYS)
    assert (AuditLeaf.objects.count(), AuditWaiting.objects.count()) == (0, 5)
    assert transparency.seal(every=ALWAYS).size == 5
    assert list(transparency.verify()) == []


@pytest.mark.django_db
def test_leaves_of_an_older_version_that_no_head_covers_yet_are_sealed_as_they_stand():
    records = written(3)
    transparency._place([(one.pk, bytes(one.leaf_hash)) for one in records], after=0)
    later = written(2)
    assert transparency.seal(every=ALWAYS).size == 5
    assert list(AuditLeaf.objects.filter(index__lt=3).order_by("index").values_list("record_id", flat=True)) == [
        one.pk for one in records
    ]
    assert {leaf.record_id for leaf in AuditLeaf.objects.filter(index__gte=3)} == {one.pk for one in later}
    assert list(transparency.verify()) == []


@pytest.mark.django_db
@pytest.mark.parametrize("pages", [(1,), (7, 1), (3, 5, 2), (64, 1, 66)])
def test_proofs_hold_for_every_leaf_and_every_pair_of_heads(pages):
    heads = []
    for count in pages:
        written(count)
        heads.append(transparency.seal(every=ALWAYS))
    leaves = hashes()
    key = [0] + [1] * len(pages)  # the first use of the key is a record under the next head
    assert [head.size for head in heads] == [sum(pages[: n + 1]) + key[n] for n in range(len(pages))]
    for head in heads:
        assert bytes(head.root) == root_of(leaves[: head.size])
        proofs = transparency.inclusion_proofs(range(head.size), size=head.size)
        for index, proof in proofs.items():
            path = [bytes.fromhex(one) for one in proof]
            assert merkle.includes(leaves[index], index, head.size, proof=path, root=bytes(head.root))
        for second in heads:
            if second.size >= head.size:
                proof = [bytes.fromhex(one) for one in transparency.consistency_proof(head.size, second.size)]
                assert merkle.extends(
                    head.size, second.size, proof=proof, first_root=bytes(head.root), second_root=bytes(second.root)
                )
    assert AuditNode.objects.count() == sum(len(leaves) >> level for level in range(1, 9))
    assert list(transparency.verify()) == []


@pytest.mark.django_db
def test_a_proof_reads_one_query(django_assert_num_queries):
    written(100)
    transparency.seal(every=ALWAYS)
    with django_assert_num_queries(1):
        transparency.inclusion_proofs(range(100), size=100)
    with django_assert_num_queries(1):
        transparency.consistency_proof(33, 100)


@pytest.mark.django_db
def test_a_head_is_signed_and_at_most_one_a_minute_is_published():
    with time_machine.travel("2026-11-20T10:00:10Z", tick=False) as clock:
        assert transparency.seal() is None, "an empty log has no head"
        written(1)
        assert transparency.seal() is None, "the minute has not turned"
        clock.shift(timedelta(seconds=50))
        first = transparency.seal()
        assert first.size == 1
        written(1)
        clock.shift(timedelta(seconds=59))
        assert transparency.seal() is None
        clock.shift(timedelta(seconds=1))
        assert transparency.seal().size == 3, "the use of the key was a record, too"
        clock.shift(timedelta(hours=1))
        assert transparency.seal() is None, "nothing new, no head"
    document = transparency.head_document(first)
    text = statements.head_text(size=1, root=document["root"], at=document["at"])
    assert statements.is_signed(text, signature=document["signature"], public_key=logkeys.public_key())
    assert not statements.is_signed(text + b"\n", signature=document["signature"], public_key=logkeys.public_key())


@pytest.mark.django_db
def test_a_new_key_signs_from_then_on_and_the_old_one_stays_published(settings):
    written(1)
    old = transparency.seal(every=ALWAYS)
    settings.AUDIT_SIGNING_KEY = bytes(range(32))
    new = transparency.seal(every=ALWAYS)
    assert old.key_id != new.key_id == logkeys.key_id()
    assert [key["id"] for key in transparency.key_documents()] == [old.key_id, new.key_id]
    assert list(transparency.verify()) == []
    assert AuditRecord.objects.filter(verb="log-key.used").count() == 2


@pytest.mark.django_db
def test_proofs_refer_to_what_exists():
    written(4)
    transparency.seal(every=ALWAYS)
    with pytest.raises(NotFound):
        transparency.head_of(3)
    with pytest.raises(Refused):
        transparency.consistency_proof(0, 4)
    with pytest.raises(Refused):
        transparency.consistency_proof(5, 4)
    with pytest.raises(ValueError, match="no such leaf"):
        transparency.inclusion_proofs([4], size=4)


def test_production_needs_a_key_of_its_own(settings):
    settings.PRODUCTION, settings.AUDIT_SIGNING_KEY = True, b""
    assert [error.id for error in logkeys.the_log_can_be_signed(None)] == ["partners.E001"]
    settings.AUDIT_SIGNING_KEY = bytes(32)
    assert logkeys.the_log_can_be_signed(None) == []


@pytest.mark.django_db
@pytest.mark.parametrize("model", [AuditRecord, AuditLeaf, AuditNode, TreeHead, AuditKey])
def test_the_database_refuses_to_change_or_delete_what_was_written(model):
    written(2)
    transparency.seal(every=ALWAYS)
    assert model.objects.exists()
    field = {"AuditRecord": "verb", "AuditKey": "since"}.get(model.__name__)
    table = model._meta.db_table
    column = field or {"AuditLeaf": "leaf_hash", "AuditNode": "hash", "TreeHead": "root"}[model.__name__]
    for sql in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with pytest.raises((IntegrityError, DatabaseError), match="append-only"), transaction.atomic():
            connection.cursor().execute(sql)


# --- Tampering


@pytest.fixture
def log(db):
    """Forty records under two heads."""
    build.the_cast()
    written(20, counts={"accepted": 7})
    transparency.seal(every=ALWAYS)
    written(7, counts={"accepted": 7})
    transparency.seal(every=ALWAYS)
    assert list(transparency.verify()) == []
    return list(AuditLeaf.objects.order_by("index").select_related("record"))


def by_hand(*statements_: tuple[str, list]) -> None:
    """As somebody with the database's password: the triggers are off while it lasts."""
    tables = ("partners_auditrecord", "partners_auditleaf", "partners_auditnode", "partners_treehead")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for sql, values in statements_:
            cursor.execute(sql, values)
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


REWRITE = 'UPDATE partners_auditrecord SET details = \'{"counts": {"accepted": 6}}\' WHERE id = %s'


def rewritten_hash(leaf: AuditLeaf) -> bytes:
    record = AuditRecord.objects.get(pk=leaf.record_id)
    record.details = {"counts": {"accepted": 6}}
    return merkle.leaf_hash(audit.canonical(record))


def found() -> list[str]:
    """What `manage.py audit_verify` says; it must fail."""
    said = io.StringIO()
    with pytest.raises(CommandError):
        call_command("audit_verify", stdout=said, stderr=said)
    return said.getvalue().splitlines()


def test_the_command_says_that_all_is_well(log):
    said = io.StringIO()
    call_command("audit_verify", stdout=said)
    assert "2 signed heads" in said.getvalue()
    measured = health.measured()
    assert measured["exchange_log_wrong"] == 0
    assert measured["exchange_log_verified_age_seconds"] < 3_600


def test_a_log_that_was_changed_is_told_by_the_metrics_until_it_verifies_again(log):
    call_command("audit_verify", stdout=io.StringIO())
    by_hand((REWRITE, [log[17].record_id]))
    assert found()
    measured = health.measured()
    assert measured["exchange_log_wrong"] == 1
    assert "exchange_log_verified_age_seconds" not in measured


def test_a_record_rewritten_by_hand_is_found(log):
    by_hand((REWRITE, [log[17].record_id]))
    assert any(line.startswith("leaf 17: the record is not what was written") for line in found())


def test_so_is_one_with_its_hash(log):
    by_hand(
        (REWRITE, [log[17].record_id]),
        ("UPDATE partners_auditrecord SET leaf_hash = %s WHERE id = %s", [rewritten_hash(log[17]), log[17].record_id]),
    )
    said = found()
    assert any(line.startswith("leaf 17: the leaf is not that of its record") for line in said)
    assert any("do not give the root that was signed" in line for line in said)


def test_so_is_one_with_its_hash_and_its_leaf(log):
    new = rewritten_hash(log[17])
    by_hand(
        (REWRITE, [log[17].record_id]),
        ("UPDATE partners_auditrecord SET leaf_hash = %s WHERE id = %s", [new, log[17].record_id]),
        ("UPDATE partners_auditleaf SET leaf_hash = %s WHERE index = 17", [new]),
    )
    said = found()
    assert not any(line.startswith("leaf 17") for line in said)
    assert sum("do not give the root that was signed" in line for line in said) == 2, "under both heads"
    assert any(line.startswith("node ") for line in said)


def test_so_is_one_with_everything_above_it_but_the_signature(log):
    """All hashes made anew, as the exchange itself would: the signed roots still say what was."""
    new = rewritten_hash(log[17])
    leaves = [*hashes()[:17], new, *hashes()[18:]]
    above = [
        ("UPDATE partners_auditnode SET hash = %s WHERE level = %s AND index = %s", [root_of(part), level, index])
        for level in range(1, 6)
        for index in range(len(leaves) >> level)
        for part in [leaves[index << level : (index + 1) << level]]
    ]
    by_hand(
        (REWRITE, [log[17].record_id]),
        ("UPDATE partners_auditrecord SET leaf_hash = %s WHERE id = %s", [new, log[17].record_id]),
        ("UPDATE partners_auditleaf SET leaf_hash = %s WHERE index = 17", [new]),
        *above,
    )
    assert [line for line in found() if "do not give the root" not in line and "compared" not in line] == []


def test_so_are_roots_that_were_changed_with_it(log):
    by_hand(("UPDATE partners_treehead SET root = %s", [bytes(32)]))
    said = found()
    assert sum("the signature is not that of key" in line for line in said) == 2


@pytest.mark.parametrize("index", [0, 17, -1])
def test_so_is_a_deleted_leaf(log, index):
    leaf = log[index]
    by_hand(("DELETE FROM partners_auditleaf WHERE index = %s", [leaf.index]))
    said = found()
    assert f"record {leaf.record_id}: has no leaf, and does not wait for one" in said
    assert f"leaf {leaf.index}: missing" in said or any("leaves only" in line for line in said)


@pytest.mark.parametrize("index", [0, 17, -1])
def test_so_is_a_deleted_record(log, index):
    leaf = log[index]
    by_hand(
        ("DELETE FROM partners_auditleaf WHERE index = %s", [leaf.index]),
        ("DELETE FROM partners_auditrecord WHERE id = %s", [leaf.record_id]),
    )
    said = found()
    assert f"leaf {leaf.index}: missing" in said or any("leaves only" in line for line in said)


def test_so_is_a_record_that_was_kept_from_its_place(log):
    record = written(1)[0]
    AuditWaiting.objects.filter(record=record).delete()
    assert f"record {record.pk}: has no leaf, and does not wait for one" in found()


# --- Concurrency


@pytest.mark.django_db(transaction=True)
def test_writers_do_not_wait_for_each_other_and_sequencers_take_turns():
    """A record that is not committed yet holds up neither other writers nor the sequencer, and comes later."""
    errors: list[BaseException] = []
    holds, may_end = threading.Event(), threading.Event()

    def slow_writer():
        try:
            with transaction.atomic():
                written(1)
                holds.set()
                may_end.wait(DEADLINE_S)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    slow = threading.Thread(target=slow_writer)
    slow.start()
    assert holds.wait(DEADLINE_S)
    written(5)
    assert transparency.seal(every=ALWAYS).size == 5

    def worker():
        try:
            for _ in range(20):
                written(2)
                transparency.seal(every=ALWAYS, limit=7)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=worker) for _ in range(4)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    may_end.set()
    slow.join()
    while AuditWaiting.objects.exists():
        transparency.seal(every=ALWAYS)
    assert errors == []
    assert AuditWaiting.objects.count() == 0
    assert list(AuditLeaf.objects.order_by("index").values_list("index", flat=True)) == list(range(5 + 1 + 160 + 1)), (
        "five, the slow one, forty of each worker, and the first use of the key"
    )
    assert list(transparency.verify()) == []
