"""The whole product on one machine, with one command: for a first look, for tests from outside, for development."""
