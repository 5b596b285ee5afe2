"""Looking for what no webhook told: both systems asked for what changed."""
