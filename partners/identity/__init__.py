"""People: how they come in, sign in and are known again."""
