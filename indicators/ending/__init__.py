"""The end of what a partner holds: taken back, revoked, run out, or given up by one that leaves."""
