"""What a partner installs: a Python client and the command line. Imports nothing else of the house."""

from exchange.client.api import Client
from exchange.client.errors import ApiError, ExchangeClientError, Unreachable
from exchange.client.publishing import PublishResult, Refusal

__all__ = ["ApiError", "Client", "ExchangeClientError", "PublishResult", "Refusal", "Unreachable"]
