"""Flat lists: which values may stand in one, how statements become lines, and each format. Shared by server and agent.

Pure, and importable without the server: the server's answer and the agent's file are written by the same functions.
"""
