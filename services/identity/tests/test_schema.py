"""The models and the migrations describe the same tables."""

from identity.main import service
from testkit.harness import model_differences


def test_the_models_match_the_migrations(template: str) -> None:
    assert model_differences(service, template) == []
