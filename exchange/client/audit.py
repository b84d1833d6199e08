"""Verify what the exchange says of its log, without the exchange: signatures, leaves, proofs, and that it only grew.

Nothing here asks the network. What is checked, in this order:

- each signature, with a key that the user gave, or else with the one in the file, which is then said;
- each record: its entry hashes to a leaf that is under the head's root;
- the whole file: nothing was taken out, put in or reordered since it was signed;
- with a head that was kept: the log of the file extends it, or is extended by it, and no later head is smaller.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange.client import merkle, statements
from exchange.client.errors import Unusable

HEAD_FORMAT = "exchange-tree-head/1"
EXPORT_FORMAT = "exchange-log-export/1"
PACKAGE_FORMAT = "exchange-report-package/1"

_SHOWN = 20


class Malformed(Unusable):
    """The file is not what it should be; what is missing is said."""


@dataclass(slots=True)
class Report:
    """What was verified, what was wrong, and what the user should know."""

    verified: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: Whether the log is not what it was: records that were under a signed head are gone, or others.
    went_back: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Head:
    """A signed tree head, with the consistency proof that came with it."""

    size: int
    root: bytes
    at: str
    key: str
    signature: str
    keys: Mapping[str, bytes]
    first: int | None = None
    proof: tuple[bytes, ...] = ()


def read_head(path: Path) -> Head:
    """The head in a file that `exchange audit head` or `exchange audit export` wrote. Raises Malformed."""
    lines = _lines(path)
    try:
        return _head(json.loads(next(lines)))
    except (ValueError, StopIteration, KeyError, TypeError) as error:
        raise Malformed(f"{path}: holds no tree head") from error


def verify(path: Path, *, kept: Path | None = None, public_keys: Sequence[str] = ()) -> Report:
    """Verify an export, a head, or a report package. Raises Malformed for a file that is none of them."""
    pinned = [_key(text) for text in public_keys]
    if zipfile.is_zipfile(path):
        return _verify_package(path, pinned=pinned)
    report = Report()
    head = read_head(path)
    earlier = read_head(kept) if kept else None
    trusted = _trusted(report, head, pinned=pinned, kept=earlier)
    _verify_head(report, head, trusted=trusted)
    if json.loads(next(_lines(path))).get("format") == EXPORT_FORMAT:
        _verify_records(report, path, head, trusted=trusted)
    if kept and earlier is not None:
        _verify_head(report, earlier, trusted=trusted, what="the kept head")
        _verify_growth(report, head, earlier)
        _verify_nothing_is_gone(report, path, kept)
    return report


def compare(now: Path, kept: Path) -> Report:
    """Whether the log of what was just fetched, with a proof from a kept head, goes on there. Raises Malformed.

    Both are checked with the keys that the kept one names.
    """
    report = Report()
    head, earlier = read_head(now), read_head(kept)
    trusted = _trusted(report, head, pinned=(), kept=earlier)
    _verify_head(report, head, trusted=trusted)
    _verify_head(report, earlier, trusted=trusted, what="the kept head")
    if head.size < earlier.size:
        report.problems.append(f"the log went back: it has {head.size} records, and had {earlier.size} on {earlier.at}")
    elif head.size > earlier.size and head.first != earlier.size:
        report.problems.append(f"the log has lost its head of {earlier.size} records: it was rewritten or restored")
    else:
        _verify_growth(report, head, earlier)
        return report
    report.went_back = True
    return report


def _trusted(report: Report, head: Head, *, pinned: Sequence[bytes], kept: Head | None) -> dict[str, bytes]:
    """The keys to check with: those that were given; else those of the kept head; else those in the file itself."""
    if pinned:
        return {statements.key_id(key): key for key in pinned}
    if kept is not None:
        if head.key not in kept.keys:
            report.notes.append(
                "The file is signed with a key that the kept head does not know. Compare it with the published keys"
                " (/api/v1/log/keys), and give it with --public-key."
            )
        return dict(kept.keys)
    report.notes.append(
        f"Checked with the key that the file itself names ({head.key}). To rely on it, compare it once with what the"
        " exchange publishes, and give it with --public-key, or keep a head and give it with --head."
    )
    return dict(head.keys)


def _verify_head(report: Report, head: Head, *, trusted: Mapping[str, bytes], what: str = "the head") -> None:
    text = statements.head_text(size=head.size, root=head.root.hex(), at=head.at)
    if _signed(text, key=head.key, signature=head.signature, trusted=trusted):
        report.verified.append(f"{what} of {head.size} records, signed on {head.at} with key {head.key}")
    else:
        report.problems.append(f"{what} of {head.size} records is not signed with a trusted key")


def _verify_records(report: Report, path: Path, head: Head, *, trusted: Mapping[str, bytes]) -> None:
    """Each record against the root, then the whole file against its last line."""
    digest = hashlib.sha256()
    count, last = 0, -1
    wrong: list[str] = []
    end: dict[str, Any] | None = None
    for number, line in enumerate(_lines(path), start=1):
        if end is not None:
            report.problems.append(f"line {number}: stands behind the signed end")
            break
        document = _document(line, number=number)
        if document.get("type") == "end":
            end = document
            continue
        digest.update(line)
        if number == 1:
            continue
        count += 1
        if (problem := _record_problem(document, head, after=last)) is not None:
            wrong.append(f"line {number}: {problem}")
        last = document["index"] if isinstance(document.get("index"), int) else last
    report.problems += wrong[:_SHOWN]
    if len(wrong) > _SHOWN:
        report.problems.append(f"… and {len(wrong) - _SHOWN} more records")
    if not wrong:
        report.verified.append(f"{count} records, each with the proof that it is under that head")
    _verify_end(report, end, records=count, sha256=digest.hexdigest(), trusted=trusted)


def _verify_end(
    report: Report, end: dict[str, Any] | None, *, records: int, sha256: str, trusted: Mapping[str, bytes]
) -> None:
    if end is None:
        report.problems.append("the file is cut off: its signed end is missing")
        return
    if end.get("records") != records or end.get("sha256") != sha256:
        report.problems.append("the file is not as it was signed: lines were changed, added, removed or moved")
        return
    text = statements.export_text(records=records, sha256=sha256)
    if _signed(text, key=str(end.get("key")), signature=str(end.get("signature")), trusted=trusted):
        report.verified.append("the file as a whole, signed")
    else:
        report.problems.append("the end of the file is not signed with a trusted key")


def _record_problem(document: dict[str, Any], head: Head, *, after: int) -> str | None:
    try:
        index, entry = document["index"], document["entry"]
        proof = [bytes.fromhex(one) for one in document["proof"]]
        if document["type"] != "record" or not isinstance(index, int) or not isinstance(entry, str):
            raise TypeError
    except (KeyError, TypeError, ValueError):
        return "is no record"
    if index <= after:
        return f"record {index} is out of order"
    leaf = merkle.leaf_hash(entry.encode())
    if not merkle.includes(leaf, index, head.size, proof=proof, root=head.root):
        return f"record {index} is not what the log holds at this place"
    return None


def _verify_growth(report: Report, one: Head, other: Head) -> None:
    """Whichever head is smaller must be the beginning of the other, and was signed before it."""
    earlier, later = sorted((one, other), key=lambda head: head.size)
    if earlier.size < later.size and earlier.at > later.at:
        report.went_back = True
        report.problems.append(
            f"the log went back: it had {later.size} records on {later.at}, and {earlier.size} on {earlier.at}"
        )
        return
    if earlier.size == later.size:
        if earlier.root == later.root:
            report.verified.append("the kept head is of the same size, and the same")
        else:
            report.went_back = True
            report.problems.append("two heads of the same size differ: the log was rewritten")
        return
    if later.first != earlier.size:
        report.problems.append(
            f"no proof leads from {earlier.size} to {later.size} records: export or fetch the later one with --since"
            " the earlier one"
        )
        return
    if merkle.extends(earlier.size, later.size, proof=later.proof, first_root=earlier.root, second_root=later.root):
        report.verified.append(f"the log of {later.size} records begins with the one of {earlier.size}")
    else:
        report.went_back = True
        report.problems.append(
            f"the log of {later.size} records does not begin with the one of {earlier.size}: it was rewritten"
        )


def _verify_nothing_is_gone(report: Report, path: Path, kept: Path) -> None:
    """Where both are whole exports of one partner's log, every record of the smaller one is in the larger one."""
    one, other = (_whole_export(each) for each in (path, kept))
    if one is None or other is None:
        return
    smaller, larger = sorted((one, other), key=lambda entries: (entries[0], len(entries[1])))
    places = set(smaller[1]) | (set(larger[1]) if smaller[0] == larger[0] else set())
    gone = sorted(index for index in places if larger[1].get(index) != smaller[1].get(index))
    if gone:
        report.problems.append(f"records {', '.join(map(str, gone[:_SHOWN]))} of the earlier export are gone or differ")
    else:
        report.verified.append(f"all {len(smaller[1])} records of the earlier export are in the later one")


def _whole_export(path: Path) -> tuple[int, dict[int, str]] | None:
    lines = _lines(path)
    header = json.loads(next(lines))
    narrowed = any(header.get(name) for name in ("since", "until", "verb", "group", "with_partner"))
    if header.get("format") != EXPORT_FORMAT or narrowed:
        return None
    entries: dict[int, str] = {}
    for line in lines:
        document = json.loads(line)
        if document.get("type") == "record" and isinstance(document.get("index"), int):
            entries[document["index"]] = str(document.get("entry"))
    return int(header["head"]["size"]), entries


def _verify_package(path: Path, *, pinned: Sequence[bytes]) -> Report:
    """A report package: its files, its signature, and the record of its release."""
    report = Report()
    try:
        with zipfile.ZipFile(path) as package:
            files = {name: package.read(name) for name in package.namelist()}
        proofs = json.loads(files.pop("proofs.json"))
        if proofs["format"] != PACKAGE_FORMAT:
            raise ValueError(proofs["format"])
        head = _head(proofs)
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        release = proofs["release"]
        details = json.loads(release["entry"])["details"]
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise Malformed(f"{path}: is no report package") from error
    trusted = _trusted(report, head, pinned=pinned, kept=None)
    _verify_head(report, head, trusted=trusted)
    text = statements.package_text(digests)
    if digests == proofs["files"] and _signed(
        text, key=str(proofs.get("key")), signature=str(proofs.get("signature")), trusted=trusted
    ):
        report.verified.append(f"{', '.join(sorted(digests))}, as they were signed")
    else:
        report.problems.append("the files are not as they were signed")
    if (problem := _record_problem(release | {"type": "record"}, head, after=-1)) is not None:
        report.problems.append(f"the release: {problem}")
    elif details.get("bundle_sha256") != (digests.get("bundle.json") or _said_by_cover(files)):
        report.problems.append("the bundle is not the one that was released")
    else:
        report.verified.append(f"the release of this bundle is record {release['index']} of the log")
    return report


def _said_by_cover(files: dict[str, bytes]) -> str | None:
    """The digest of the bundle where the recipient is given none: as the cover, which is signed, says it."""
    try:
        return str(json.loads(files["cover.json"])["bundle_sha256"])
    except (KeyError, ValueError, TypeError):
        return None


def head_of(document: dict[str, Any]) -> Head:
    """The head in an answer of `/api/v1/log/head`, not checked. Raises KeyError, TypeError, ValueError."""
    return _head(document)


def _head(document: dict[str, Any]) -> Head:
    head, consistency = document["head"], document.get("consistency")
    keys = {one["id"]: base64.b64decode(one["public_key"]) for one in document["keys"]}
    if any(statements.key_id(key) != name for name, key in keys.items()):
        raise ValueError("a key is not the one that it is named as")
    return Head(
        size=int(head["size"]),
        root=bytes.fromhex(head["root"]),
        at=str(head["at"]),
        key=str(head["key"]),
        signature=str(head["signature"]),
        keys=keys,
        first=int(consistency["first"]) if consistency else None,
        proof=tuple(bytes.fromhex(one) for one in consistency["proof"]) if consistency else (),
    )


def _signed(text: bytes, *, key: str, signature: str, trusted: Mapping[str, bytes]) -> bool:
    return key in trusted and statements.is_signed(text, signature=signature, public_key=trusted[key])


def _key(text: str) -> bytes:
    """A public key as base64, or the name of a file that holds it."""
    path = Path(text)
    try:
        written = path.read_text().strip() if len(text) < 200 and path.is_file() else text
        key = base64.b64decode(written, validate=True)
    except (ValueError, OSError) as error:
        raise Unusable("A public key is 32 bytes as base64, or a file that holds them.") from error
    if len(key) != 32:
        raise Unusable("A public key is 32 bytes as base64, or a file that holds them.")
    return key


def _document(line: bytes, *, number: int) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError as error:
        raise Malformed(f"line {number} is no JSON") from error
    if not isinstance(document, dict):
        raise Malformed(f"line {number} is no JSON object")
    return document


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, with their ends."""
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error
