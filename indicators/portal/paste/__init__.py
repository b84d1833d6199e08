"""Paste search: `pages` shows and answers, `asking` finds what is known of values; raw personal values stay outside."""
