"""Roles and access: nobody rises above himself, nobody reaches another partner's people, somebody stays in charge."""

from __future__ import annotations

import pytest

from exchange.errors import Conflict, Forbidden, NotFound
from partners.identity import people
from partners.keys import auth
from partners.models import AuditRecord, Partner, User
from partners.scopes import ROLE_SCOPES, Role, Scope
from tests import build
from tests.drilling import LONG
from tests.partners.browser import by_password, is_signed_in, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def admin(cast):
    return build.a_user(cast.aster)


def viewer(user):
    return auth.viewer_of_user(user)


def test_an_admin_gives_roles_and_the_log_says_so(cast, admin):
    bea = build.a_user(cast.aster, role=Role.ANALYST)
    client = signed_in(admin)
    client.post(f"/organisation/people/{bea.pk}/", {"do": "give-role", "role": "publisher"})
    bea.refresh_from_db()
    assert bea.role == Role.PUBLISHER
    record = AuditRecord.objects.get(verb="user.changed")
    assert (record.partner, record.actor, record.target) == (cast.aster, f"user:{admin.pk}", f"user:{bea.pk}")
    assert record.details["before"]["role"] == "analyst"


@pytest.mark.parametrize("role", [Role.ANALYST, Role.PUBLISHER, Role.COUNSEL])
def test_whoever_is_no_admin_changes_nobody(cast, admin, role):
    client = signed_in(build.a_user(cast.aster, role=role))
    assert client.get("/organisation/people/").status_code == 403
    for do in ("give-role", "deactivate", "reset-factors", "end-sessions"):
        answer = client.post(f"/organisation/people/{admin.pk}/", {"do": do, "role": "analyst"})
        assert answer.status_code == 403
    own = User.objects.get(pk=client.session["_auth_user_id"])
    assert client.post(f"/organisation/people/{own.pk}/", {"do": "give-role", "role": "admin"}).status_code == 403
    own.refresh_from_db()
    assert own.role == role


@pytest.mark.parametrize("whose", ["borealis", "operator", pytest.param("dorado", marks=LONG)])
@pytest.mark.slow
def test_the_people_of_others_are_not_there(cast, admin, whose):
    victim = build.a_user(getattr(cast, whose), password="a long other password")
    client = signed_in(admin)
    absent = client.post("/organisation/people/0/", {"do": "deactivate"})
    for do in ("give-role", "deactivate", "activate", "reset-factors", "end-sessions", "nonsense"):
        answer = client.post(f"/organisation/people/{victim.pk}/", {"do": do, "role": "analyst"})
        assert answer.status_code == absent.status_code == 404
    for change in ({"role": Role.ANALYST}, {"active": False}):
        with pytest.raises(NotFound):
            people.change(viewer(admin), victim.pk, **change)
    with pytest.raises(NotFound):
        people.reset_factors(viewer(admin), victim.pk)
    with pytest.raises(NotFound):
        people.end_sessions(viewer(admin), victim.pk)
    assert victim.username not in text(client.get("/organisation/people/"))
    victim.refresh_from_db()
    assert victim.is_active
    assert victim.role == Role.ADMIN
    assert victim.check_password("a long other password")


def test_a_form_moves_nobody_to_another_partner(cast, admin):
    bea = build.a_user(cast.aster, role=Role.ANALYST)
    foreign = build.a_user(cast.operator)
    client = signed_in(admin)
    smuggled = {"partner": str(cast.operator.pk), "partner_id": str(cast.operator.pk), "is_superuser": "on"}
    client.post(f"/organisation/people/{bea.pk}/", {"do": "give-role", "role": "admin", "user": foreign.pk} | smuggled)
    bea.refresh_from_db()
    foreign.refresh_from_db()
    assert (bea.partner, bea.is_superuser, foreign.partner) == (cast.aster, False, cast.operator)
    answer = client.post("/organisation/people/", {"do": "invite", "email": "a@b.example", "role": "admin"} | smuggled)
    assert answer.status_code == 200
    assert cast.operator.invitations.count() == 0


def test_a_key_changes_nobody_above_it_nor_raises_anybody_above_it(cast, admin):
    weak = build.viewer_of(cast.aster, Scope.ADMIN, Scope.READ)
    counsel, publisher = build.a_user(cast.aster, role=Role.COUNSEL), build.a_user(cast.aster, role=Role.PUBLISHER)
    for user, change in (
        (counsel, {"role": Role.ADMIN}),
        (counsel, {"role": Role.PUBLISHER}),
        (publisher, {"active": False}),
        (admin, {"role": Role.COUNSEL}),
    ):
        with pytest.raises(Forbidden):
            people.change(weak, user.pk, **change)
    with pytest.raises(Forbidden):
        people.reset_factors(weak, admin.pk)
    assert not people.change(weak, counsel.pk, active=False).is_active


def test_the_last_active_admin_stays(cast, admin):
    build.a_user(cast.borealis)
    for change in ({"role": Role.ANALYST}, {"active": False}):
        with pytest.raises(Conflict):
            people.change(viewer(admin), admin.pk, **change)
    second = build.a_user(cast.aster)
    people.change(viewer(admin), second.pk, active=False)
    with pytest.raises(Conflict):
        people.change(viewer(admin), admin.pk, role=Role.COUNSEL)
    people.change(viewer(admin), second.pk, active=True)
    assert people.change(viewer(admin), admin.pk, role=Role.COUNSEL).role == Role.COUNSEL


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_demote_each_other_at_the_same_time_do_not_both_succeed():
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection

    aster = build.a_partner("Aster")
    one, two = build.a_user(aster), build.a_user(aster)
    viewers = {one.pk: viewer(one), two.pk: viewer(two)}

    def demote(pair):
        by, whom = pair
        try:
            people.change(viewers[by], whom, role=Role.ANALYST)
        except Conflict:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(demote, [(one.pk, two.pk), (two.pk, one.pk)]))
    assert sorted(done) == [False, True]
    assert User.objects.filter(partner=aster, role=Role.ADMIN, is_active=True).count() == 1


def test_whoever_is_deactivated_is_out_at_once_and_cannot_sign_in(cast, admin):
    bea = build.a_user(cast.aster, role=Role.PUBLISHER)
    client, _ = by_password(bea.username)
    assert is_signed_in(client)
    people.change(viewer(admin), bea.pk, active=False)
    assert not is_signed_in(client)
    assert bea.sessions.count() == 0
    again, answer = by_password(bea.username)
    assert answer.headers["Location"] == "/account/inactive/"
    assert not is_signed_in(again)
    people.change(viewer(admin), bea.pk, active=True)
    assert is_signed_in(by_password(bea.username)[0])
    assert not is_signed_in(client), "what has ended stays ended"


def test_nobody_signs_in_for_a_partner_that_takes_no_part(cast, admin):
    Partner.objects.filter(pk=cast.aster.pk).update(state=Partner.State.SUSPENDED)
    client, answer = by_password(admin.username)
    assert answer.headers["Location"] == "/account/inactive/"
    assert client.get(answer.headers["Location"]).status_code == 200
    assert not is_signed_in(client)


def test_every_row_of_the_table_of_rights_is_on_the_account_page(admin):
    shown = text(signed_in(admin).get("/account/"))
    for role in Role:
        assert f"<td>{role.label}</td>" in shown
        assert ", ".join(sorted(ROLE_SCOPES[role])) in shown


def test_the_documentation_shows_the_table_of_rights_as_it_is():
    from pathlib import Path

    rows = [f"| {role.value} | {', '.join(f'`{scope}`' for scope in sorted(ROLE_SCOPES[role]))} |" for role in Role]
    page = Path("exchange/docs/people.md").read_text()
    table = "\n".join(["| role | rights |", "|---|---|", *rows])
    assert table in page


def test_one_user_name_is_one_person_in_whatever_case(cast):
    from django.db import IntegrityError, transaction

    User.objects.create_user(username="mixed.case")
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create_user(username="Mixed.Case")
