"""The operator's command: sees what every order, message and service does, and repairs it."""
