"""Mechanisms without knowledge of the domain: durable files, locks, batching threads."""
