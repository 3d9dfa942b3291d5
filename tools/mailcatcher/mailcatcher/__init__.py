"""A local SMTP server that stores every mail for reading and relays none."""
