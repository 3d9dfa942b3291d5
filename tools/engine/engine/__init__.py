"""A private container engine for tests of images, compose file and manifests."""
