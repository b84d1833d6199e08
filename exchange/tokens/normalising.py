"""How a value is written before it is compared or tokenised, so that two partners who mean the same say the same.

The rules of the vocabulary, as functions from text to text. Each raises ValueError, without the value, for what is
not of its kind, and gives its own result back unchanged. What is tokenised is normalised by the partner, inside its
own environment: the exchange calls only those for values that travel in clear (`host`, `network`, `url` …).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import idna
import phonenumbers
import stdnum.exceptions
import stdnum.iban

from exchange.tokens import defanging

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_GMAIL = frozenset({"gmail.com", "googlemail.com"})
#: Mail providers for which text after a plus sign is a tag of the same mailbox: in practice nearly all.
_TAG = "+"
#: Addresses whose case says nothing: hexadecimal (Ethereum and its kin) and bech32 (BIP 173).
_CASELESS_CRYPTO = re.compile(
    r"0[xX][0-9a-fA-F]{40,64}|(?:bc|tb|ltc|addr|cosmos)1[02-9a-z]+|(?:BC|TB|LTC|ADDR|COSMOS)1[02-9A-Z]+"
)
_CRYPTO = re.compile(r"[0-9A-Za-z]{20,128}")
_CRYPTO_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,30}:(?://)?")
_PHONE = re.compile(r"\+[0-9\s().\-/\u2010-\u2015]{7,40}")
_PAN = re.compile(r"[0-9]{12,19}")
_PAR = re.compile(r"[A-Z0-9]{29}")
_BIN_RANGE = re.compile(r"([0-9]{6,8})(?:-([0-9]{6,8}))?")
_AS_NUMBER = re.compile(r"as([1-9][0-9]{0,9})")
_MAILTO = re.compile(r"mailto:", re.IGNORECASE)
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,15}")
_DEFAULT_PORTS = {"ftp": 21, "http": 80, "https": 443, "ws": 80, "wss": 443}
_APP_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{1,254}")
_OPAQUE_BYTES = 256
_HEXADECIMAL = re.compile(r"[0-9a-f]+")


def email_exact(text: str) -> str:
    """An e-mail address: NFKC, lower case, no `mailto:`, IDNA domain, Gmail's two domains as one."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.strip()).lower()).strip()
    folded = _MAILTO.sub("", folded, count=1).strip() if _MAILTO.match(folded) else folded
    local, at, domain = folded.rpartition("@")
    if not at or not local or "@" in local or any(map(_is_blank, local)) or len(local.encode()) > 64:
        raise ValueError("not an e-mail address")
    found = host(domain)
    return f"{local}@{'gmail.com' if found in _GMAIL else found}"


def email_folded(text: str) -> str:
    """The mailbox behind an address: as `email_exact`, without a plus tag and without the dots that Gmail ignores."""
    local, _, domain = email_exact(text).rpartition("@")
    bare = local.partition(_TAG)[0] or local
    if domain in _GMAIL:
        bare, domain = bare.replace(".", "") or bare, "gmail.com"
    return f"{bare}@{domain}"


def phone(text: str) -> str:
    """A telephone number in E.164 form; it must come with its country code (`+` or `00`).

    By libphonenumber, which knows where a zero is dialled inside the country only (+49 (0) 30) and where it belongs to
    the number (Italy). What it would read as yet another number once it is written so (+53 00 …), or as none, is none.
    """
    written = unicodedata.normalize("NFKC", text).strip()
    if written.startswith("00"):
        written = f"+{written[2:]}"
    try:
        found = phonenumbers.parse(written if _PHONE.fullmatch(written) else "")
    except phonenumbers.NumberParseException:
        raise ValueError("not a telephone number with its country code") from None
    form = phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_possible_number(found) or not _PHONE.fullmatch(form) or _e164(form) != form:
        raise ValueError("not a telephone number with its country code")
    return form


def _e164(form: str) -> str:
    """How libphonenumber writes what it reads; empty where it reads nothing."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(form), phonenumbers.PhoneNumberFormat.E164)
    except phonenumbers.NumberParseException:
        return ""


def address_net(text: str) -> str:
    """The network that stands for one address: IPv4 /32, IPv6 /64; IPv4 mapped into IPv6 is IPv4."""
    found = _network(text)
    if found.prefixlen != (32 if found.version == 4 else 64):
        raise ValueError("not one address")
    return str(found)


def network(text: str) -> str:
    """A network in CIDR form without host bits, or an AS number (`as64496`); one address as `address_net` says."""
    folded = _folded(text)
    if _AS_NUMBER.fullmatch(folded):
        return as_number(folded)
    return str(_network(folded))


def ip_network(text: str) -> str:
    """The same, of what cannot be an AS number."""
    return str(_network(text))


def as_number(text: str) -> str:
    """An AS number, with or without `AS` before it, as `as64496`."""
    folded = _folded(text)
    found = _AS_NUMBER.fullmatch(folded if folded.startswith("as") else f"as{folded}")
    if found is None or int(found[1]) >= 1 << 32:
        raise ValueError("not an AS number of 32 bits")
    return found[0]


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Host bits are dropped; IPv4 mapped into IPv6 is IPv4; one IPv6 address is its /64."""
    folded = _folded(text)
    if "%" in folded:
        raise ValueError("a zone means something on one machine only")
    found = ipaddress.ip_network(folded, strict=False)
    if isinstance(found, ipaddress.IPv6Network):
        if found.subnet_of(_MAPPED):
            mapped = int(found.network_address) & 0xFFFF_FFFF
            return ipaddress.IPv4Network((mapped, found.prefixlen - 96))
        if found.prefixlen == 128:
            return ipaddress.IPv6Network((found.network_address, 64), strict=False)
    return found


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().lower()


def host(text: str) -> str:
    """A host or domain name: lower case, punycode, without a dot at the end; no port, path or query."""
    folded = unicodedata.normalize("NFKC", text.strip()).strip().rstrip(".")
    if not folded.isascii():
        try:
            folded = idna.encode(folded, uts46=True).decode().rstrip(".")
        except (idna.IDNAError, UnicodeError):
            raise ValueError("not a host name") from None
    folded = folded.lower()
    labels = folded.split(".")
    if len(folded) > 253 or len(labels) < 2 or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("not a host name")
    return folded


def url(text: str) -> str:
    """A URL: scheme and host as they are compared, no default port, no fragment, `/` for an empty path."""
    written = unicodedata.normalize("NFC", text.strip())
    if not written.isprintable() or " " in written:
        raise ValueError("not a URL")
    parts = urlsplit(written)
    scheme = parts.scheme.lower()
    if not _SCHEME.fullmatch(scheme) or not parts.hostname:
        raise ValueError("not a URL")
    port = parts.port
    user, at, _ = parts.netloc.rpartition("@")
    place = _url_host(parts.hostname) + ("" if port in {None, _DEFAULT_PORTS.get(scheme)} else f":{port}")
    return urlunsplit((scheme, f"{user}{at}{place}", parts.path or "/", parts.query, ""))


def _url_host(text: str) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return host(text)
    return f"[{found}]" if found.version == 6 else str(found)


def url_host(text: str) -> str:
    """The host of a URL in its normal form: a name or, without brackets, an address."""
    return urlsplit(text).hostname or ""


def is_bare(text: str) -> bool:
    """Whether a URL in its normal form says no more than its host: no path, query, user or port."""
    parts = urlsplit(text)
    return parts.path == "/" and not parts.query and parts.netloc.strip("[]") == url_host(text)


def app_id(text: str) -> str:
    """The identifier of an application, such as `com.example.app`."""
    found = text.strip()
    if not _APP_ID.fullmatch(found):
        raise ValueError("not an application's identifier")
    return found


def md5(text: str) -> str:
    """An MD5 as lower-case hexadecimal digits."""
    return _digest(text, digits=32)


def sha1(text: str) -> str:
    """A SHA-1 as lower-case hexadecimal digits."""
    return _digest(text, digits=40)


def sha256(text: str) -> str:
    """A SHA-256 as lower-case hexadecimal digits."""
    return _digest(text, digits=64)


def _digest(text: str, *, digits: int) -> str:
    found = _folded(text)
    if len(found) != digits or not _HEXADECIMAL.fullmatch(found):
        raise ValueError("not a hash of this length")
    return found


def pan(text: str) -> str:
    """A card number as digits. Only for a partner's own card environment: no card number reaches the exchange."""
    digits = re.sub(r"[ -]", "", unicodedata.normalize("NFKC", text).strip())
    if not _PAN.fullmatch(digits) or not passes_luhn(digits):
        raise ValueError("not a card number")
    return digits


def par(text: str) -> str:
    """A payment account reference (EMVCo): 29 characters, upper case."""
    folded = unicodedata.normalize("NFKC", text).strip().upper()
    if not _PAR.fullmatch(folded):
        raise ValueError("not a payment account reference")
    return folded


def iban(text: str) -> str:
    """An IBAN (ISO 13616) without spaces, upper case, check digits verified."""
    try:
        return str(stdnum.iban.validate(unicodedata.normalize("NFKC", text), check_country=False))
    except stdnum.exceptions.ValidationError:
        raise ValueError("not an IBAN") from None


def bin_range(text: str) -> str:
    """A bank identification number of 6 to 8 digits, or a range of two of the same length, the lower first."""
    found = _BIN_RANGE.fullmatch(re.sub(r"\s", "", text))
    if found is None or (found[2] and (len(found[1]) != len(found[2]) or found[1] > found[2])):
        raise ValueError("not a range of 6 to 8 digits")
    return found[1] if found[2] in (None, found[1]) else f"{found[1]}-{found[2]}"


def crypto_addr(text: str) -> str:
    """A public address of a cryptocurrency without a scheme (`bitcoin:`); in lower case where case says nothing."""
    bare = _CRYPTO_SCHEME.sub("", text.strip(), count=1) if _CRYPTO_SCHEME.match(text.strip()) else text.strip()
    bare = bare.partition("?")[0]
    if not _CRYPTO.fullmatch(bare):
        raise ValueError("not a cryptocurrency address")
    return bare.lower() if _CASELESS_CRYPTO.fullmatch(bare) else bare


def opaque(text: str) -> str:
    """What only its issuer can read (a device id, a fingerprint of a payment provider): trimmed, else as given."""
    found = text.strip()
    if not 1 <= len(found.encode()) <= _OPAQUE_BYTES:
        raise ValueError("not of 1 to 256 bytes")
    return found


def signup_template(text: str) -> str:
    """A template of sign-ups: `key=value` lines, trimmed and sorted by code point, each once."""
    lines = sorted({line.strip() for line in text.splitlines()} - {""})
    if not all(line.partition("=")[0] and "=" in line for line in lines):
        raise ValueError("not lines of key=value")
    return opaque("\n".join(lines))


def any_of(text: str) -> tuple[str, ...]:
    """Every normal form that a text can have, and itself: for a search that does not know what the text is."""
    found = {text, unicodedata.normalize("NFKC", text).strip()}
    plain = defanging.refanged(text.strip())
    found |= {plain, defanging.host_of(plain)} - {""}
    if _HEXADECIMAL.fullmatch(plain.lower()):
        found.add(plain.lower())
    for written in tuple(found):
        found |= _forms(written)
    for address in tuple(found):
        if "://" in address:
            found |= _hosts_in(address)
    return tuple(sorted(found))


def _forms(text: str) -> set[str]:
    """The normal forms of each kind that a text can be."""
    found = set()
    for normalise in _SEARCHED:
        try:
            found.add(normalise(text))
        except ValueError:
            continue
    return found


def _hosts_in(address: str) -> set[str]:
    """What a URL that says no more than its host stands for."""
    try:
        written = url(address)
        if not is_bare(written):
            return set()
        name = url_host(written)
        return {ip_network(name) if ":" in name or name.rpartition(".")[2].isdigit() else host(name)}
    except ValueError:
        return set()


def passes_luhn(digits: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 * (doubled > 9)
    return total % 10 == 0


def _is_blank(character: str) -> bool:
    return character.isspace() or not character.isprintable()


_SEARCHED: tuple[Callable[[str], str], ...] = (
    *(as_number, bin_range, crypto_addr, email_exact, host, ip_network, md5, sha1, sha256, url),
)
