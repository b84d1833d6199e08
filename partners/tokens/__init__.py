"""Keys for tokens: oblivious ones by the key service, and those of groups."""
