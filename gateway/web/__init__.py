"""The doors: webhooks, admin API, OAuth, health, pages. They verify, store, wake and answer; they decide nothing."""
