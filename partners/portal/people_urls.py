"""Routes of the pages about a partner's people, and of the operator's page for new partners."""

from django.urls import path

from partners.portal import people

urlpatterns = [
    path("organisation/people/", people.everybody, name="people"),
    path("organisation/people/<int:user_id>/", people.one, name="person"),
    path("organisation/people/sign-on/", people.sign_on, name="people-sign-on"),
    path("operator/invite/", people.invite_partner, name="invite-partner"),
]
