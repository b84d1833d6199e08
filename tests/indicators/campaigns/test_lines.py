"""What a line of evidence may carry."""

import json
import uuid
from datetime import UTC, datetime

import pytest

from exchange.tokens import forms
from indicators.campaigns import lines

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
TERMS = lines.Terms("ring", {"ring-2026q4-1"}, NOW)


@pytest.mark.parametrize("subkind", sorted({*forms.OBLIVIOUS, *forms.BY_GROUP, *forms.EVIDENCE_ONLY}))
def test_every_subkind_that_the_vocabulary_tokenises_may_be_evidence(subkind):
    scheme = forms.scheme_of(subkind)
    epoch = "2026q4" if scheme is forms.Scheme.OBLIVIOUS else "ring-2026q4-1"
    token = {"subkind": subkind, "scheme": scheme, "key_epoch": epoch, "value": "0" * 64}
    line = {
        "account": str(uuid.uuid4()),
        "tokens": [token],
        "basis": "scored",
        "publisher_action": "observed",
        "until": "2026-12-20T00:00:00Z",
    }
    (read,) = lines.accounts(json.dumps(line).encode(), TERMS)
    assert read.tokens[0].subkind == subkind
