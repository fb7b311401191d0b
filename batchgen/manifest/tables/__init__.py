"""Tables that prompts come from: one row, one prompt."""
