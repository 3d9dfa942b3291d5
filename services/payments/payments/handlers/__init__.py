"""What happens when a message arrives, one module each; commands are record → call → finish."""

from contracts.identity import CustomerChanged
from contracts.payments import CancelPayment, CapturePayment, CollectPayment, RefundPayment
from payments.bus import bus
from payments.handlers.cancel import Cancel
from payments.handlers.capture import Capture
from payments.handlers.collect import Collect
from payments.handlers.customer import customer_changed
from payments.handlers.refund import Refund

__all__ = ["bus"]

bus.calls(CollectPayment)(Collect)
bus.calls(CapturePayment)(Capture)
bus.calls(CancelPayment)(Cancel)
bus.calls(RefundPayment)(Refund)
bus.handles(CustomerChanged)(customer_changed)
