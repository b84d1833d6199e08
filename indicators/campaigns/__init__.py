"""Campaigns: what labs tell a group of their own suspects, what of it they are told as sums, and what it amounts to."""
