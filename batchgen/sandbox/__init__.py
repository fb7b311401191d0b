"""The embedded provider: a real HTTP server with the same API that paints, limits and fails on request."""
