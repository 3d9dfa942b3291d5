"""The HTTP feed of events: a copy of the log, for systems that do not speak AMQP."""
