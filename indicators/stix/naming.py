"""What people call the subkinds, in every sentence and picture: one and several. Pure."""

from __future__ import annotations

from collections.abc import Mapping

NAMES: Mapping[str, tuple[str, str]] = {
    "email": ("mailbox", "mailboxes"),
    "email_domain": ("mail domain", "mail domains"),
    "phone": ("phone number", "phone numbers"),
    "device": ("device", "devices"),
    "net": ("network", "networks"),
    "client_fp": ("client", "clients"),
    "gateway_host": ("gateway", "gateways"),
    "signup_template": ("sign-up template", "sign-up templates"),
    "cluster_rule": ("account pattern", "account patterns"),
    "par": ("payment card", "payment cards"),
    "pan_token": ("card number", "card numbers"),
    "iban_token": ("bank account", "bank accounts"),
    "psp_fp": ("payment method", "payment methods"),
    "crypto_addr": ("crypto address", "crypto addresses"),
    "bin_range": ("card range", "card ranges"),
    "billing_rule": ("billing pattern", "billing patterns"),
    "skeleton": ("prompt", "prompts"),
    "phrase": ("phrase", "phrases"),
    "regex": ("prompt pattern", "prompt patterns"),
    "nova_rule": ("prompt rule", "prompt rules"),
    "feature_rule": ("set of prompt features", "sets of prompt features"),
    # In evidence alone.
    "email_shape": ("shape of mailboxes", "shapes of mailboxes"),
    "signup_burst": ("burst of sign-ups", "bursts of sign-ups"),
}
