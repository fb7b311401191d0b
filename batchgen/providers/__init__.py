"""Who makes images: one HTTP client, dialects as data, foreign errors turned into ours."""
