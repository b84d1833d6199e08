"""The peer's WSGI application, loaded in the peer's own environment; imports nothing of ours."""

import os

from medallion import load_app

application = load_app(os.environ["PEER_CONFIG"])
