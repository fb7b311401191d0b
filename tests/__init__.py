"""The promises of batchgen, one test each; the folders mirror the rooms."""
