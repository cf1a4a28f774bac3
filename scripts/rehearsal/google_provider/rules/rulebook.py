"""What the real provider enforces beyond its schema, resource by resource, as data.

Source: terraform-provider-google at 6.50.0, file ``google/services/<product>/resource_*.go`` of
each resource (ForceNew, ValidateFunc, Default, ConflictsWith, ExactlyOneOf, DiffSuppressFunc), and
the limits of the services' own APIs. A dotted name goes through nested blocks.
"""

from __future__ import annotations

from scripts.rehearsal.google_provider.rules.products import (
    bigquery,
    compute,
    identity,
    machine_learning,
    operations,
    storage,
)
from scripts.rehearsal.google_provider.rules.resource_rules import Rules

_PRODUCTS = (storage, identity, machine_learning, compute, operations, bigquery)
RULES: dict[str, Rules] = {
    type_name: rules for product in _PRODUCTS for type_name, rules in product.RULES.items()
}
