"""Routes for signing in and out and for one's own account: our views, and the few of allauth's that are wanted."""

from allauth.account import views as allauth
from allauth.mfa.base import views as codes
from allauth.mfa.webauthn import views as passkeys
from django.urls import path

from partners.portal import arriving, forgetting, own, views

urlpatterns = [
    path("", views.account, name="account"),
    path("theme/", views.theme, name="theme"),
    path("language/", views.language, name="language"),
    path("single-keys/", views.single_keys, name="single-keys"),
    path("login/", allauth.login, name="account_login"),
    path("login/passkey/", passkeys.login_webauthn, name="mfa_login_webauthn"),
    path("login/second-factor/", codes.authenticate, name="mfa_authenticate"),
    path("logout/", allauth.logout, name="account_logout"),
    path("inactive/", allauth.account_inactive, name="account_inactive"),
    path("reauthenticate/", allauth.reauthenticate, name="account_reauthenticate"),
    path("reauthenticate/code/", codes.reauthenticate, name="mfa_reauthenticate"),
    path("reauthenticate/passkey/", passkeys.reauthenticate_webauthn, name="mfa_reauthenticate_webauthn"),
    path("invitation/", arriving.invitation, name="invitation"),
    path("sign-on/<uuid:sign_on_id>/", arriving.sign_on, name="sign-on"),
    path("sign-on/<uuid:sign_on_id>/callback/", arriving.callback, name="sign-on-callback"),
    path("sign-on/<uuid:sign_on_id>/waiting/", arriving.waiting, name="sign-on-waiting"),
    path("factors/", own.second_factors, name="factors"),
    path("factors/passkey-options/", own.passkey_options, name="passkey-options"),
    path("password/", own.password, name="password"),
    path("password/forgotten/", forgetting.forgotten, name="password-reset"),
    path("password/link/", forgetting.link, name="password-reset-link"),
    path("sessions/", own.end_sessions, name="end-sessions"),
    path("unlink/", own.unlink, name="unlink"),
]
