"""What time brings to inventory: asking the catalogue while no variant is known."""

from chassis.bootstrap import ask_while_empty
from chassis.ids import new_id
from contracts.catalog import SendProducts
from inventory.store import stock


def _ask_for_products() -> SendProducts:
    return SendProducts(operation_id=new_id(), request_id=new_id(), asker="svc.inventory")


sweeps = [ask_while_empty("variants", stock.knows_no_variant, _ask_for_products)]
