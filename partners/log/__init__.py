"""The log that cannot be rewritten: `audit.record` writes, `logbook` reads, `transparency` proves."""
