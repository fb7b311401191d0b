"""The operator's `batchgen.yaml`: found, checked with places, and turned into settings. It names secrets, it never holds them."""
