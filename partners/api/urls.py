"""Routes of the REST face: who."""

from django.urls import path

from partners.api import groups, keys, operator, own, people, recipients, tokens, views

urlpatterns = [
    path("keys", keys.KeysView.as_view(), name="api-keys"),
    path("keys/<str:public_id>", keys.KeyView.as_view(), name="api-key"),
    path("keys/<str:public_id>/rotate", keys.RotateView.as_view(), name="rotate-api-key"),
    path("me", views.MeView.as_view(), name="me"),
    path("partners", views.PartnersView.as_view(), name="partners"),
    path("people", people.PeopleView.as_view(), name="people-api"),
    path("people/<int:user_id>", people.PersonView.as_view(), name="person-api"),
    path("invitations", people.InvitationsView.as_view(), name="invitations-api"),
    path("invitations/<uuid:invitation_id>", people.InvitationView.as_view(), name="invitation-api"),
    path("operator/partners", operator.RegisteredView.as_view(), name="registered-partners"),
    path("operator/partners/<str:slug>/invite", operator.RegisteredInviteView.as_view(), name="registered-invite"),
    path("operator/partners/<str:slug>/suspend", operator.SuspendView.as_view(), name="registered-suspend"),
    path("operator/partners/<str:slug>/reinstate", operator.ReinstateView.as_view(), name="registered-reinstate"),
    path("operator/partners/<str:slug>/terms", recipients.NewTermsView.as_view(), name="registered-terms"),
    path(
        "operator/partners/<str:slug>/terms/<uuid:terms_id>/end",
        recipients.EndTermsView.as_view(),
        name="registered-terms-end",
    ),
    path("recipients", recipients.RecipientsView.as_view(), name="recipients"),
    path("tokens/keys", tokens.TokenKeysView.as_view(), name="token-keys"),
    path("tokens/evaluate", tokens.EvaluateView.as_view(), name="token-evaluate"),
    path("partner", own.OwnView.as_view(), name="partner"),
    path("groups", groups.GroupsView.as_view(), name="groups"),
    path("groups/<str:slug>", groups.GroupView.as_view(), name="group"),
    path("groups/<str:slug>/keys", tokens.GroupKeysView.as_view(), name="group-keys"),
    path("groups/<str:slug>/invite", groups.InviteView.as_view(), name="group-invite"),
    path("groups/<str:slug>/remove", groups.RemoveView.as_view(), name="group-remove"),
    path("groups/<str:slug>/renew", groups.RenewView.as_view(), name="group-renew"),
    path("groups/<str:slug>/leave", groups.LeaveView.as_view(), name="group-leave"),
    path("groups/<str:slug>/dissolve", groups.DissolveView.as_view(), name="group-dissolve"),
    path("proposals", groups.ProposalsView.as_view(), name="proposals"),
    path("proposals/<uuid:proposal_id>/agree", groups.AgreeView.as_view(), name="proposal-agree"),
    path("proposals/<uuid:proposal_id>/decline", groups.DeclineView.as_view(), name="proposal-decline"),
]
