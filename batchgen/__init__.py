"""batchgen: a YAML manifest of prompts becomes images overnight, through paid image APIs."""

__version__ = "0.1.0"
