"""Measure the exchange against its limits, in one run, on one machine: `make bench`."""
