"""Poll both systems for changes that no webhook reported."""
