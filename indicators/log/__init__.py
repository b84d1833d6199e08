"""The change log: written in commit order (`changes.append`), walked by each reader along its own channels."""
