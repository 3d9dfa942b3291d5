"""The gateway as a client meets it: a real Envoy with upstreams of the tests' own."""
