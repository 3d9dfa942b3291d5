"""The provider as a process, and a receiver for its webhooks, for the tests of its callers."""

from sandbox_provider.testing.process import API_KEY, WEBHOOK_SECRET, ProviderProcess, a_charge
from sandbox_provider.testing.receiver import Received, Receiver

__all__ = ["API_KEY", "WEBHOOK_SECRET", "ProviderProcess", "Received", "Receiver", "a_charge"]
