"""A private container engine on which images, compose file and manifests are tried."""
