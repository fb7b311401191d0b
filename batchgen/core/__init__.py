"""Pure values and decisions: no await, clock, disk, network or environment."""
