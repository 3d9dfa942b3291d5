"""Rules of shipping: providers, methods and prices, and the shipments of an order."""
