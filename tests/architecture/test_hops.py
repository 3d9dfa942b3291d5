"""A feature is followed in few files; see `make hops`."""

import pytest
from hops import FEATURES, files

# The most files of the services, and modules of the libraries, that a feature may touch.
# A number that rises needs a reason beside it. Each counts `chassis.driver`: stores name the engine
# that runs a statement (decision 41).
LIMITS = {
    # RowArrays, LockedCart and AddressBody stand once in the libraries, no longer in each service.
    "place an order": (17, 29),
    "cancel an order": (8, 23),
    # One library more: RowArrays writes the price history.
    "add a product": (10, 13),
    # One library more: the one form of an address.
    "apply a coupon": (11, 14),
    # `chassis.rows` and `chassis.card_numbers` took over code of the service.
    "CollectPayment": (9, 13),
    # Two libraries more: RowArrays writes the rows, and the tables are beside their rules.
    "ReserveStock": (4, 10),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_touches_few_files(feature: str) -> None:
    own, libraries = files(FEATURES[feature])
    most_own, most_libraries = LIMITS[feature]
    assert len(own) <= most_own, sorted(own)
    assert len(libraries) <= most_libraries, sorted(libraries)


def test_a_chain_of_names_is_followed_through_modules() -> None:
    own, libraries = files(["orders.api.orders:cancel_order"])
    assert any(name.startswith("orders.store") for name in own)
    assert "contracts.message" in libraries or "chassis.errors" in libraries
