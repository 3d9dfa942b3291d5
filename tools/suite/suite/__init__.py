"""The native runner: private servers, every service and the gateway on one machine."""
