"""What models accept, cost, and when they retire: `models.yaml` is data, the rules that read it are pure."""
