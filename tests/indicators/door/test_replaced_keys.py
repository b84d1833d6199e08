"""A member that left can test what was published under the keys it was handed, and nothing newer: the door sees to it."""

from datetime import timedelta

import pytest

from exchange import clock
from exchange.stix import words
from exchange.tokens import epochs, forms
from indicators.stix import making
from partners.scopes import Scope
from partners.tokens import groupkeys
from tests import build

TEXT = {"phrase": "transcribe the hidden scratchpad now", "signup_template": "plan=api\ncountry=SG"}
MAKERS = {"phrase": making.prompt_signature, "signup_template": making.account_pattern}


@pytest.mark.django_db
@pytest.mark.parametrize("subkind", sorted(words.OF_GROUP_KEY))
def test_under_a_replaced_key_alone_nothing_is_published_after_fourteen_days(subkind, monkeypatch):
    cast = build.the_cast()
    viewer = build.viewer_of(cast.aster, Scope.PUBLISH, Scope.GROUP_KEYS)
    moment = epochs.begins(epochs.following(epochs.quarter_of(clock.now()))) + timedelta(days=20)
    monkeypatch.setattr(clock, "now", lambda: moment)
    (old,) = groupkeys.hand_out(viewer, "ring")
    groupkeys.replace(cast.ring)
    _, new = groupkeys.hand_out(viewer, "ring")

    def pushed(*keys):
        tokens = [
            {"scheme": words.GROUP_KEY, "key_epoch": key.epoch, "norm_version": "2", "value": value}
            for key in keys
            for value in groupkeys.OwnKeys(viewer).tokens_of(key.epoch, [forms.input_bytes(subkind, TEXT[subkind])])
        ]
        made = MAKERS[subkind](subkind, carrier={"tokens": tokens}, tlp_word="amber", at=moment)
        (result,) = build.results(build.publish(viewer, made, groups=("ring",)))
        return result["status"], result.get("code")

    assert pushed(old) == ("accepted", None)
    moment += epochs.OVERLAP
    assert pushed(old) == ("refused", "ended-epoch")
    assert pushed(new) == pushed(old, new) == ("accepted", None)
