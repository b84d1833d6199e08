"""A compiled catalogue is what people read: every page in it, but for what partners wrote and words of the vocabulary."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.template import engines
from django.test import override_settings
from django.utils import formats, translation

from exchange.stix import wording
from exchange.stix import words as stix_words
from indicators.feeds.fields import STANDINGS
from indicators.portal import counsel
from indicators.portal.publish import forms
from indicators.stix import making
from partners.models import ApiKey, Group, Partner, User
from partners.scopes import Role, Scope
from tests import build, catalogue
from tests.indicators.portal.test_pages import signed_in
from tests.surfaces.test_marked_text import _plain_words as plain_words
from tests.surfaces.test_marked_text import _Reader as Reader

pytestmark = pytest.mark.django_db

NOBODYS = "xx"
_SCHEMAS = Path(__file__).resolve().parents[2] / "indicators/stix/schemas"
#: The same in every language: the product's name, languages, formats, months and days, units.
_NAMES = "english csv exchange curl edl envoy hosts ipset jsonl nftables nginx text txt min amber clear green red strict".split()
_DAYS = "jan feb mar apr may jun jul aug sep oct nov dec mon tue wed thu fri sat sun".split()
#: Tokens and ids, whole and shortened.
_VALUES = re.compile(r"\b[0-9a-f]{8}[0-9a-f…-]+")
#: Pages of people; what the log says is evidence, in the words that it was recorded in.
_PAGES = (
    *("/", "/pulse", "/indicators", "/campaigns", "/publish", "/paste", "/matches", "/subscriptions"),
    *("/subscriptions/new", "/subscriptions/feeds/all", "/judgement/", "/judgement/usefulness/"),
    *("/organisation/appeals/", "/organisation/recalls/", "/organisation/", "/organisation/groups/"),
    *("/organisation/groups/ring", "/organisation/sharing/", "/organisation/hosts/", "/organisation/connections/"),
    *("/organisation/detectors/", "/organisation/people/", "/organisation/keys/", "/organisation/waiting/"),
    *("/organisation/quarantine/", "/organisation/reports/", "/organisation/reports/schedules/"),
    *("/account/", "/account/digest"),
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """All texts in the language of nobody."""
    place = tmp_path_factory.mktemp("locale")
    texts = {*catalogue.of_python(), *catalogue.of_templates()}
    catalogue.compile_to(place / NOBODYS, "django", texts)
    catalogue.compile_to(place / NOBODYS, "djangojs", set(catalogue.of_scripts()))
    return place


@pytest.fixture
def nobodys(compiled):
    """The portal in the language of nobody."""
    asked = {"USE_I18N": True, "LANGUAGE_CODE": NOBODYS, "LOCALE_PATHS": [compiled]}
    with override_settings(**asked, LANGUAGES=[(NOBODYS, NOBODYS), ("en", "English")]):
        kept = dict(translation._trans.__dict__)
        translation._trans.__dict__.clear()
        yield
        translation._trans.__dict__.clear()
        translation._trans.__dict__.update(kept)


def words(text: str) -> set[str]:
    return {one.lower() for one in plain_words(_VALUES.sub("", text)) if one.isascii() and len(one) > 2}


def vocabulary() -> tuple[set[str], set[str]]:
    """Closed words and names of properties, the same in the API, on pages and in every language; what a schema explains."""
    found: set[str] = set()
    explained: set[str] = set()

    def walk(schema: object) -> None:
        if isinstance(schema, dict):
            closed = [*schema.get("properties", {}), *schema.get("enum", ()), schema.get("const", "")]
            found.update(re.findall("[a-z]+", " ".join(map(str, closed)).lower()))
            explained.add(str(schema.get("description", "")))
            for each in schema.values():
                walk(each)
        elif isinstance(schema, list):
            for each in schema:
                walk(each)

    for path in _SCHEMAS.glob("*.json"):
        walk(json.loads(path.read_bytes()))
    return found, explained | set(wording.FORMS.values())


def data() -> set[str]:
    """Words of what partners wrote, of closed lists outside the schemas, and names."""
    said = [*Scope, *Partner.Kind, *STANDINGS, *stix_words.REASONS_AGAINST, *_NAMES, *_DAYS]
    said += [f"{one.name} {one.slug}" for one in Partner.objects.all()]
    said += [f"{one.name} {one.slug} {one.purpose} {one.legal_basis}" for one in Group.objects.all()]
    said += User.objects.values_list("username", flat=True)
    said += User.objects.values_list("email", flat=True)
    said += ApiKey.objects.values_list("name", flat=True)
    return set(re.findall("[a-z]+", " ".join(map(str, said)).lower()))


def test_pages_show_a_compiled_catalogue_and_nothing_beside_it_but_data_and_the_vocabulary(nobodys):
    cast = build.the_cast()
    build.publish(cast.viewer("borealis"), making.payment_fingerprint(), making.prompt_signature())
    build.publish(cast.viewer("aster"), making.account_pattern())
    client = signed_in(cast.aster, role=Role.ADMIN)
    closed, explained = vocabulary()
    known = closed | data()
    untranslated = {}
    for path in _PAGES:
        answer = client.get(path)
        assert answer.status_code == 200, path
        reader = Reader()
        reader.feed(answer.content.decode())
        reader.close()
        said = {" ".join(one.split()) for one in reader.found}
        if left := sorted(one for one in said if words(one) - known and one not in explained):
            untranslated[path] = left
    assert untranslated == {}
    assert catalogue.wide("Home") in client.get("/").content.decode()


@pytest.mark.parametrize("made", [forms.fields, counsel.kinds, counsel.envelope])
def test_what_is_remembered_is_remembered_in_each_language(nobodys, made):
    with translation.override("en"):
        english = made()
        assert made() is english
    with translation.override(NOBODYS):
        assert made() != english


def test_each_reads_in_the_language_that_they_chose_whatever_their_browser_asks_for(nobodys):
    client = signed_in(build.the_cast().aster)
    with override_settings(LANGUAGE_CODE="en"):
        account = client.get("/account/").content.decode()
        assert 'name="language" value="en" lang="en">English<' in account
        for asked, chosen, shown in (("en", NOBODYS, NOBODYS), (NOBODYS, "en", "en"), ("en", "no-such", "en")):
            said = client.post(
                "/account/language/", {"language": chosen}, headers={"referer": "http://testserver/account/"}
            )
            assert said["Location"] == "http://testserver/account/"
            answer = client.get("/account/", headers={"Accept-Language": asked})
            page = answer.content.decode()
            assert f'<html lang="{shown}"' in page
            assert f'src="/words.js?{shown}"' in page
            assert "Cookie" in answer["Vary"]
            assert (catalogue.wide("Home") in page) == (shown == NOBODYS)


def test_where_there_is_one_language_none_is_chosen():
    assert "/account/language/" not in signed_in(build.the_cast().aster).get("/account/").content.decode()


def test_each_reads_in_the_language_that_their_browser_asks_for(nobodys):
    client = signed_in(build.the_cast().aster)
    with override_settings(LANGUAGE_CODE="en"):
        for asked, language in (("xx, en;q=0.5", NOBODYS), ("fr, en;q=0.5", "en"), ("", "en")):
            answer = client.get("/", headers={"Accept-Language": asked})
            shown = answer.content.decode()
            assert f'<html lang="{language}"' in shown
            assert (catalogue.wide("Home") in shown) == (language == NOBODYS)
            assert answer["Content-Language"] == language
            assert "Accept-Language" in answer["Vary"]
        machine = client.get("/api/v1/objects", headers={"Accept-Language": "xx"})
        assert not {"Content-Language", "Vary"} & set(machine.headers), machine.headers
        assert translation.get_language() == "en", "the next request of this thread begins in English"


def test_marks_of_drawings_stay_where_they_are_in_every_language(nobodys):
    with translation.override("de"):
        assert engines["django"].from_string('x="{{ x }}"').render({"x": 12.5}) == 'x="12.5"'
        assert formats.number_format(12.5) == "12,5", "where German is read"


def test_scripts_are_handed_the_catalogue(nobodys, client):
    said = client.get("/words.js").content.decode()
    assert json.dumps(catalogue.wide("this hour")) in said
