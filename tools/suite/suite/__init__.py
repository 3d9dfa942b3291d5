"""The native runner: a private PostgreSQL and RabbitMQ, every service and the gateway, on one machine."""
