"""The HTTP endpoints: webhooks, admin API, OAuth, health, pages. They verify, store, notify and answer."""
