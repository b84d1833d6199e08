"""Routes about one's own partner and its groups, and the operator's."""

from django.urls import path

from partners.portal import groups, operator, partner

urlpatterns = [
    path("organisation/", partner.overview, name="organisation"),
    path("organisation/settings", partner.settings, name="organisation-settings"),
    path("organisation/leaving", partner.leaving, name="organisation-leaving"),
    path("organisation/groups/", groups.groups, name="groups-page"),
    path("organisation/groups/<str:slug>", groups.group, name="group-page"),
    path("organisation/groups/<str:slug>/act", groups.group_act, name="group-act"),
    path("organisation/proposals/<uuid:proposal_id>/act", groups.proposal_act, name="proposal-act"),
    path("operator/partners", operator.partners, name="operator-partners"),
    path("operator/partners/<str:slug>/act", operator.partner_act, name="operator-partner-act"),
    path("operator/groups", operator.groups, name="operator-groups"),
    path("operator/groups/<str:slug>/act", operator.group_act, name="operator-group-act"),
]
