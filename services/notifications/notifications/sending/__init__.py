"""How mails leave: claimed from the queue, sent over SMTP, and only then recorded."""
