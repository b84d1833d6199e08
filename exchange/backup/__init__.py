"""Copies of a PostgreSQL server and its log, and how they become a server again; PostgreSQL's own programs do the work.

Needs nothing of Django, so that the key service's database is kept by the same verbs (`python -m exchange.backup`).
"""
