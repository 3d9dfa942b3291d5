"""The models and the migrations describe the same tables."""

from chassis.testing import model_differences
from identity.main import service


def test_the_models_match_the_migrations(template: str) -> None:
    assert model_differences(service, template) == []
