"""How a value is written before it is compared or tokenised, so that two partners who mean the same say the same.

The rules of the vocabulary, as functions from text to text. Each raises ValueError, without the value, for what is
not of its kind, and gives its own result back unchanged. What is tokenised is normalised by the partner, inside its
own environment: the exchange calls only those for values that travel in clear (`host`, `network`, `bin_range`).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata

import idna

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_GMAIL = frozenset({"gmail.com", "googlemail.com"})
#: Mail providers for which text after a plus sign is a tag of the same mailbox: in practice nearly all.
_TAG = "+"
_TRUNK = "(0)"  # as in +49 (0) 30: dialled inside the country only
#: Addresses whose case says nothing: hexadecimal (Ethereum and its kin) and bech32 (BIP 173).
_CASELESS_CRYPTO = re.compile(r"0x[0-9a-fA-F]{40,64}|(?:bc|tb|ltc)1[02-9a-z]+|(?:BC|TB|LTC)1[02-9A-Z]+")
_PHONE_NOISE = re.compile(r"[\s().\-/\u00a0\u2010-\u2015]+")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_PAN = re.compile(r"[0-9]{12,19}")
_PAR = re.compile(r"[A-Z0-9]{29}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BIN_RANGE = re.compile(r"([0-9]{6,8})(?:-([0-9]{6,8}))?")
_AS_NUMBER = re.compile(r"as([1-9][0-9]{0,9})")


def email_exact(text: str) -> str:
    """An e-mail address: NFKC, lower case, IDNA domain."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.strip()).lower()).strip()
    local, at, domain = folded.rpartition("@")
    if not at or not local or "@" in local or any(map(_is_blank, local)) or len(local.encode()) > 64:
        raise ValueError("not an e-mail address")
    return f"{local}@{host(domain)}"


def email_folded(text: str) -> str:
    """The mailbox behind an address: as `email_exact`, without a plus tag and without the dots that Gmail ignores."""
    local, _, domain = email_exact(text).rpartition("@")
    bare = local.partition(_TAG)[0] or local
    if domain in _GMAIL:
        bare, domain = bare.replace(".", "") or bare, "gmail.com"
    return f"{bare}@{domain}"


def phone(text: str) -> str:
    """A telephone number in E.164 form; it must come with its country code (`+` or `00`)."""
    digits = _PHONE_NOISE.sub("", unicodedata.normalize("NFKC", text).replace(_TRUNK, ""))
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    if not _PHONE.fullmatch(digits):
        raise ValueError("not a telephone number with its country code")
    return digits


def address_net(text: str) -> str:
    """The network that stands for one address: IPv4 /32, IPv6 /64; IPv4 mapped into IPv6 is IPv4."""
    bare, slash, prefix = text.strip().partition("/")
    found = ipaddress.ip_address(bare)
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    length = 32 if found.version == 4 else 64
    if slash and prefix != str(length):
        raise ValueError("not one address")
    return str(ipaddress.ip_network(f"{found}/{length}", strict=False))


def network(text: str) -> str:
    """A network in CIDR form without host bits, a single address as `address_net` says, or an AS number (`as64496`)."""
    folded = text.strip().lower()
    if as_number := _AS_NUMBER.fullmatch(folded):
        if int(as_number[1]) >= 1 << 32:
            raise ValueError("an AS number has 32 bits")
        return folded
    if "/" not in folded:
        return address_net(folded)
    return str(ipaddress.ip_network(folded, strict=False))


def address(text: str) -> str:
    """One address, or a network in CIDR form, as classical feeds write both; a prefix of full length is left out."""
    found = ipaddress.ip_network(text.strip(), strict=False)
    return str(found.network_address) if found.num_addresses == 1 else str(found)


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


def pan(text: str) -> str:
    """A card number as digits. Only for a partner's own card environment: no card number reaches the exchange."""
    digits = re.sub(r"[ -]", "", text.strip())
    if not _PAN.fullmatch(digits) or not passes_luhn(digits):
        raise ValueError("not a card number")
    return digits


def par(text: str) -> str:
    """A payment account reference (EMVCo): 29 characters, upper case."""
    folded = text.strip().upper()
    if not _PAR.fullmatch(folded):
        raise ValueError("not a payment account reference")
    return folded


def iban(text: str) -> str:
    """An IBAN (ISO 13616) without spaces, upper case, check digits verified."""
    folded = re.sub(r"[\s-]", "", text).upper()
    if not _IBAN.fullmatch(folded):
        raise ValueError("not an IBAN")
    if int("".join(str(int(character, 36)) for character in folded[4:] + folded[:4])) % 97 != 1:
        raise ValueError("the check digits of the IBAN are wrong")
    return folded


def bin_range(text: str) -> str:
    """A bank identification number of 6 to 8 digits, or a range of two of the same length, the lower first."""
    found = _BIN_RANGE.fullmatch(re.sub(r"\s", "", text))
    if found is None or (found[2] and (len(found[1]) != len(found[2]) or found[1] > found[2])):
        raise ValueError("not a range of 6 to 8 digits")
    return found[1] if found[2] in (None, found[1]) else f"{found[1]}-{found[2]}"


def crypto_addr(text: str) -> str:
    """A public address of a cryptocurrency; in lower case where case says nothing."""
    found = text.strip()
    if not found.isascii() or (not found.isalnum() and ":" not in found):
        raise ValueError("not a cryptocurrency address")
    return found.lower() if _CASELESS_CRYPTO.fullmatch(found) else found


def passes_luhn(digits: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 * (doubled > 9)
    return total % 10 == 0


def _is_blank(character: str) -> bool:
    return character.isspace() or not character.isprintable()
