"""In which order a file is sent, and that each answer still names the place in the file."""

import json

from exchange.client import publishing


def an_object(place, kind="note"):
    return json.dumps(
        {"type": kind, "id": f"{kind}--{place}", "object_marking_refs": ["marking-definition--9"]}
    ).encode()


def test_marking_definitions_are_sent_first_wherever_they_stand_and_the_rest_in_its_order():
    raw = [*(an_object(place) for place in range(4)), an_object(4, "marking-definition"), an_object(5)]
    raw.append(b'{"\\u0074ype": "marking\\u002ddefinition"}')
    sent = list(publishing.batches(publishing.in_order(raw), size=3))
    assert [[one.place for one in batch] for batch in sent] == [[4, 6, 0], [1, 2, 3], [5]]
    assert {one.place: one.raw for batch in sent for one in batch} == dict(enumerate(raw))


def test_what_is_no_json_is_sent_where_it_stands():
    raw = [b'{"marking-definition', b"[" * 100_000 + b"marking-definition", b'["marking-definition"]']
    assert [one.place for one in publishing.in_order(raw)] == [0, 1, 2]


def test_an_answer_names_the_places_in_the_file():
    result = publishing.PublishResult()
    refused = {"index": 1, "id": "note--0", "status": "refused", "code": "x", "field": "", "message": ""}
    result.add({"id": "b", "counts": {"refused": 1}, "results": [refused]}, places=[4, 0])
    assert [refusal.index for refusal in result.refusals] == [0]
