"""The platform: endpoints, clients and the database. It contains the protocols of both systems and no business rule."""
