"""The provider as a process for the tests of those who use it, and an ear for its webhooks."""

from sandbox_provider.testing.process import API_KEY, WEBHOOK_SECRET, ProviderProcess, a_charge
from sandbox_provider.testing.receiver import Received, Receiver

__all__ = ["API_KEY", "WEBHOOK_SECRET", "ProviderProcess", "Received", "Receiver", "a_charge"]
