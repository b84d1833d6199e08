"""The sync agent: keeps a local blocklist equal to a feed of the exchange, and proves where it stands."""
