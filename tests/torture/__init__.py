"""The write protocol under kills, failing disks and power loss: docs/testing.md says what is proven."""
