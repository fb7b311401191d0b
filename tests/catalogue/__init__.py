"""What models accept and cost."""
