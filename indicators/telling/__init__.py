"""Tell subscribers that something changed: `notifying.hint` wakes who follows the log, `delivering` brings it."""
