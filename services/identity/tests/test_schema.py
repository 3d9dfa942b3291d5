"""The tables are what the models say."""

from chassis.testing import model_differences
from identity.main import service


def test_the_models_are_what_the_migrations_make(template: str) -> None:
    assert model_differences(service, template) == []
