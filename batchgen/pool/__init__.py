"""Runs tasks within their limits; knows only protocols."""
