"""The TAXII 2.1 face (OASIS standard, 10 June 2021); § in this package means its sections."""
