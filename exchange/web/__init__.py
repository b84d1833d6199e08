"""The web server: reads a request whole before it takes a thread, and holds none for a reader who is slow (ADR 0026).

`python -m exchange.web` serves `exchange.wsgi`, or any other WSGI application; `server.py` is the way of a request.
"""
