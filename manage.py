#!/usr/bin/env python
"""Django's command line."""

from exchange.management.line import main

if __name__ == "__main__":
    main()
