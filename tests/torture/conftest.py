"""What the tests of this folder share."""

from tests.torture.arena import arena

__all__ = ["arena"]
