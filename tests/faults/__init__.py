"""The fault catalogue from end to end: the real command against a server whose bytes the tests choose."""
