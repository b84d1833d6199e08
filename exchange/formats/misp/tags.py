"""What both ways of MISP need: the prefix of our own tags."""

from __future__ import annotations

NAMESPACE = "exchange"
