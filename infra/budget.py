"""An optional monthly budget of the project, which warns before the money is spent."""

from __future__ import annotations

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_google.billing_budget import (
    BillingBudget,
    BillingBudgetAllUpdatesRule,
    BillingBudgetAmount,
    BillingBudgetAmountSpecifiedAmount,
    BillingBudgetBudgetFilter,
    BillingBudgetThresholdRules,
)
from cdktf_cdktf_provider_google.provider import GoogleProvider
from constructs import Construct

from infra.monitoring import Channels
from infra.settings import Settings

THRESHOLDS = ((0.5, "CURRENT_SPEND"), (0.9, "CURRENT_SPEND"), (1.0, "FORECASTED_SPEND"))


class Budget(Construct):
    """A budget with thresholds; it warns, and stops nothing."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        project_number: str,
        channels: Channels,
        after: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        # Google refuses budgets (403) to a user's own credentials unless a project pays for the
        # calls. A provider of its own: nothing else needs the right to use the project's quota.
        payer = GoogleProvider(
            self,
            "payer",
            alias="budget",
            project=settings.project_id,
            billing_project=settings.project_id,
            user_project_override=True,
        )
        BillingBudget(
            self,
            "budget",
            provider=payer,
            billing_account=settings.billing_account,
            display_name=f"{settings.prefix} monthly budget",
            amount=BillingBudgetAmount(
                specified_amount=BillingBudgetAmountSpecifiedAmount(
                    currency_code=settings.budget_currency, units=str(settings.budget)
                )
            ),
            budget_filter=BillingBudgetBudgetFilter(projects=[f"projects/{project_number}"]),
            threshold_rules=[
                BillingBudgetThresholdRules(threshold_percent=share, spend_basis=basis)
                for share, basis in THRESHOLDS
            ],
            all_updates_rule=BillingBudgetAllUpdatesRule(
                monitoring_notification_channels=channels.names
            )
            if channels.names
            else None,
            depends_on=after,
        )
