"""What staff may see and change over HTTP."""
