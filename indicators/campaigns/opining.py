"""What partners say of a campaign, as STIX opinions: made with stix2 when they are read, under each one's identity."""

from __future__ import annotations

from typing import Any

import orjson

from exchange.stix import words
from indicators.campaigns import objects
from indicators.campaigns.tables import Campaign, CampaignStatement
from indicators.stix import tlp
from indicators.stix.library import stix2

_Says = CampaignStatement.Says
_OPINION = {_Says.CONFIRM: "agree", _Says.DISMISS: "disagree", _Says.TWO: "disagree", _Says.ONE: "agree"}


def bundle(one: Campaign) -> dict[str, Any]:
    """A bundle of one opinion for each partner that said something; its reason is in our extension.

    That it is one with another refers to both. The id is the same as long as the campaign and the partner are.
    """
    said = CampaignStatement.objects.filter(campaign=one.pk).select_related("partner").order_by("partner__name")
    made = [_opinion(one, each) for each in said]
    return {
        "type": "bundle",
        "id": objects.id_of_part(one.pk, "bundle", "opinions"),
        **({"objects": [orjson.loads(each.serialize()) for each in made]} if made else {}),
    }


def _opinion(one: Campaign, said: CampaignStatement) -> Any:
    others = [said.other] if said.other is not None else []
    return stix2().Opinion(
        id=objects.id_of_part(one.pk, "opinion", str(said.partner_id)),
        created=said.at,
        modified=said.at,
        created_by_ref=said.partner.identity_id,
        opinion=_OPINION[_Says(said.says)],
        object_refs=[f"campaign--{each}" for each in (one.pk, *others)],
        object_marking_refs=[tlp.ID_OF["amber"]],
        extensions={
            words.OPINION_EXTENSION_ID: {"extension_type": "property-extension", "reason": said.reason},
        },
    )
