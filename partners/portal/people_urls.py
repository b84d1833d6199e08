"""Routes of the pages about a partner's people, and of the operator's page for new partners."""

from django.urls import path

from partners.portal import people, tokens

urlpatterns = [
    path("organisation/people/", people.everybody, name="people"),
    path("organisation/people/<int:user_id>/", people.one, name="person"),
    path("organisation/people/sign-on/", people.sign_on, name="people-sign-on"),
    path("ask/tokens/keys", tokens.keys, name="portal-token-keys"),
    path("ask/tokens/evaluate", tokens.evaluate, name="portal-token-evaluate"),
    path("operator/invite/", people.invite_partner, name="invite-partner"),
]
