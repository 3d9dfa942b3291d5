"""A local SMTP server that keeps every mail for reading and sends none on."""
