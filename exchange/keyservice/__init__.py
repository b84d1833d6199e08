"""The key service: a process of its own that holds the oblivious keys and knows neither values nor accounts.

It is asked by the exchange's web processes alone, with points that are already blinded. It needs nothing of Django and
none of the exchange's secrets, and can be run by somebody else, on a machine and database of its own.
"""
