"""The platform: endpoints, clients and the database. It knows the protocols of both systems and no business rule."""
