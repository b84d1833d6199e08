"""The client: every call of the REST API, with retries that are safe to make.

with Client("https://exchange.example", api_key) as client:
    result = client.publish(Path("indicators.json"), groups=["ring"])
    for change in client.changes():
        ...
"""

from exchange.client.calls.following import Following, Making
from exchange.client.calls.judging import Judging
from exchange.client.calls.own import Own
from exchange.client.calls.packages import Packages
from exchange.client.calls.publishing import Publishing
from exchange.client.calls.reading import Reading

__all__ = ["Client", "Making"]


class Client(Publishing, Reading, Following, Judging, Packages, Own):
    """Every call, on a connection of one key to one exchange. Safe to use from several threads."""
