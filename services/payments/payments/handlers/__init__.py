"""What happens when a command arrives, one module per command; each is record → call → finish."""

from contracts.payments import CancelPayment, CapturePayment, CollectPayment, RefundPayment
from payments.bus import bus
from payments.handlers.cancel import Cancel
from payments.handlers.capture import Capture
from payments.handlers.collect import Collect
from payments.handlers.refund import Refund

__all__ = ["bus"]

bus.calls(CollectPayment)(Collect)
bus.calls(CapturePayment)(Capture)
bus.calls(CancelPayment)(Cancel)
bus.calls(RefundPayment)(Refund)
