"""Identity's routes."""

from identity.api import auth, internal, registration

routers = [registration.router, auth.router, internal.router, internal.well_known]
