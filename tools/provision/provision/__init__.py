"""Databases and roles for PostgreSQL, users and topology for RabbitMQ; idempotent."""
