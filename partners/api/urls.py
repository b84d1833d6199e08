"""Routes of the REST face: who."""

from django.urls import path

from partners.api import keys, people, views

urlpatterns = [
    path("keys", keys.KeysView.as_view(), name="api-keys"),
    path("keys/<str:public_id>", keys.KeyView.as_view(), name="api-key"),
    path("keys/<str:public_id>/rotate", keys.RotateView.as_view(), name="rotate-api-key"),
    path("me", views.MeView.as_view(), name="me"),
    path("partners", views.PartnersView.as_view(), name="partners"),
    path("groups", views.GroupsView.as_view(), name="groups"),
    path("people", people.PeopleView.as_view(), name="people-api"),
    path("people/<int:user_id>", people.PersonView.as_view(), name="person-api"),
    path("invitations", people.InvitationsView.as_view(), name="invitations-api"),
    path("invitations/<uuid:invitation_id>", people.InvitationView.as_view(), name="invitation-api"),
]
