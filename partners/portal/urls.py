"""Routes for signing in and out, which are allauth's views and none of its others, and for one's own page."""

from allauth.account import views as allauth
from django.urls import path

from partners.portal import views

urlpatterns = [
    path("", views.account, name="account"),
    path("theme/", views.theme, name="theme"),
    path("login/", allauth.login, name="account_login"),
    path("logout/", allauth.logout, name="account_logout"),
    path("reauthenticate/", allauth.reauthenticate, name="account_reauthenticate"),
]
