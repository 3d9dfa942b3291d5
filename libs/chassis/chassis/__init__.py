"""The chassis: the infrastructure of every service, without business logic."""
