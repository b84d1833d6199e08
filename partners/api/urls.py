"""Routes of the REST face: who."""

from django.urls import path

from partners.api import people, views

urlpatterns = [
    path("me", views.MeView.as_view(), name="me"),
    path("partners", views.PartnersView.as_view(), name="partners"),
    path("groups", views.GroupsView.as_view(), name="groups"),
    path("people", people.PeopleView.as_view(), name="people-api"),
    path("people/<int:user_id>", people.PersonView.as_view(), name="person-api"),
    path("invitations", people.InvitationsView.as_view(), name="invitations-api"),
    path("invitations/<uuid:invitation_id>", people.InvitationView.as_view(), name="invitation-api"),
]
