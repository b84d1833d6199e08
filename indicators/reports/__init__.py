"""Report packages for one recipient: prepared by one person, released by another."""
