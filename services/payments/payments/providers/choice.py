"""Which provider serves which method."""

from dataclasses import dataclass

from payments.providers.offline import Offline
from payments.providers.port import Provider


@dataclass(frozen=True, slots=True)
class Providers:
    """The one provider reached over the network, and payment at the door."""

    online: Provider
    offline: Offline

    def for_method(self, method: str) -> Provider:
        """Who collects payments of a method."""
        return self.offline if method == "cod" else self.online

    def named(self, name: str) -> Provider | None:
        """The provider a stored payment or a webhook's path names."""
        return next((one for one in (self.online, self.offline) if one.name == name), None)
