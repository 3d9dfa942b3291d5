"""Identity: users, what they may do, and the customers and addresses of the shop."""
