"""The other server of these tests: this exchange's own TAXII face, with a key of one of its partners."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.test import Client

from exchange import outbound

HOST = "https://peer.example"


class Peer:
    """What is asked of it goes to the face; `answers` may put something else in its place, `asked` says what was."""

    def __init__(self, key: str, monkeypatch) -> None:
        self.authorization = f"Bearer {key}"
        self.asked: list[tuple[str, str]] = []
        self.answers = {}
        monkeypatch.setattr(outbound, "get", self._ask("get"))
        monkeypatch.setattr(outbound, "delete", self._ask("delete"))
        monkeypatch.setattr(outbound, "post", self._post)

    def collection(self, collection_id) -> str:
        return f"{HOST}/taxii2/exchange/collections/{collection_id}/"

    def _ask(self, method):
        def ask(url, *, headers, timeout_s, max_bytes):
            return self._answer(method, url, headers, max_bytes)

        return ask

    def _post(self, url, body, *, headers, timeout_s, max_bytes):
        return self._answer("post", url, headers, max_bytes, body)

    def _answer(self, method, url, headers, max_bytes, body=None):
        assert url.startswith(HOST)
        self.asked.append((method, url))
        for part, said in self.answers.items():
            if part in url:
                if isinstance(said, Exception):
                    raise said
                return said
        parts = urlsplit(url)
        more = {} if body is None else {"data": body, "content_type": headers["Content-Type"]}
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        response = getattr(Client(headers={k: v for k, v in headers.items() if k != "Content-Type"}), method)(
            path, **more
        )
        told = {name.lower(): value for name, value in response.headers.items()}
        return outbound.Reply(response.status_code, None, response.content[:max_bytes], told)
