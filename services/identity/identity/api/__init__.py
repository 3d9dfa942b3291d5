"""Identity's routes."""

from identity.api import (
    addresses,
    admin_customers,
    admin_roles,
    admin_users,
    auth,
    internal,
    me,
    registration,
)

routers = [
    registration.router,
    auth.router,
    me.router,
    addresses.router,
    addresses.countries_router,
    admin_users.router,
    admin_customers.router,
    admin_roles.router,
    internal.well_known,
    internal.router,
]
