"""Payment providers as adapters behind one port."""
