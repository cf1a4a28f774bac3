"""The network of a Workbench without public address: private, with a way out for ``git clone``."""

from __future__ import annotations

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_google.compute_firewall import (
    ComputeFirewall,
    ComputeFirewallAllow,
    ComputeFirewallDeny,
    ComputeFirewallLogConfig,
)
from cdktf_cdktf_provider_google.compute_network import ComputeNetwork
from cdktf_cdktf_provider_google.compute_router import ComputeRouter
from cdktf_cdktf_provider_google.compute_router_nat import (
    ComputeRouterNat,
    ComputeRouterNatLogConfig,
)
from cdktf_cdktf_provider_google.compute_subnetwork import (
    ComputeSubnetwork,
    ComputeSubnetworkLogConfig,
)
from constructs import Construct

from infra.settings import Settings

RANGE = "10.64.0.0/24"
# Where IAP's TCP forwarding comes from (Google's page "Using IAP for TCP forwarding").
IAP_RANGE = "35.235.240.0/20"


class Network(Construct):
    """An existing network and subnet, or new ones; a Cloud NAT unless the network has it.

    A new network blocks and logs everything that comes in. Private Google Access reaches
    Google's APIs but not the host of the repository that the Workbench clones, hence the NAT.

    Attributes:
        network: full name of the VPC.
        subnet: full name of its subnet.
        ready: what a machine needs before it starts.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        after: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        self.ready: list[ITerraformDependable] = []
        if settings.network:
            self.network, self.subnet = settings.network, settings.subnet
        else:
            network = ComputeNetwork(
                self,
                "network",
                name=f"{settings.prefix}-network",
                project=settings.project_id,
                auto_create_subnetworks=False,
                depends_on=after,
            )
            subnet = ComputeSubnetwork(
                self,
                "subnet",
                name=f"{settings.prefix}-{settings.region}",
                project=settings.project_id,
                region=settings.region,
                network=network.id,
                ip_cidr_range=RANGE,
                private_ip_google_access=True,
                log_config=ComputeSubnetworkLogConfig(
                    aggregation_interval="INTERVAL_10_MIN",
                    flow_sampling=0.1,
                    metadata="INCLUDE_ALL_METADATA",
                ),
            )
            ComputeFirewall(
                self,
                "nothing-in",
                name=f"{settings.prefix}-nothing-in",
                project=settings.project_id,
                network=network.id,
                direction="INGRESS",
                priority=65_534,
                source_ranges=["0.0.0.0/0"],
                deny=[ComputeFirewallDeny(protocol="all")],
                log_config=ComputeFirewallLogConfig(metadata="INCLUDE_ALL_METADATA"),
            )
            if settings.workbench_ssh:
                ComputeFirewall(
                    self,
                    "ssh-by-iap",
                    name=f"{settings.prefix}-ssh-by-iap",
                    project=settings.project_id,
                    network=network.id,
                    direction="INGRESS",
                    priority=65_533,
                    source_ranges=[IAP_RANGE],
                    allow=[ComputeFirewallAllow(protocol="tcp", ports=["22"])],
                    log_config=ComputeFirewallLogConfig(metadata="INCLUDE_ALL_METADATA"),
                )
            self.network, self.subnet = network.id, subnet.id
            self.ready.append(subnet)
        if settings.makes_nat:
            self.ready.append(self._nat(settings, after))

    def _nat(self, settings: Settings, after: list[ITerraformDependable]) -> ComputeRouterNat:
        router = ComputeRouter(
            self,
            "router",
            name=f"{settings.prefix}-router",
            project=settings.project_id,
            region=settings.region,
            network=self.network,
            depends_on=after,
        )
        return ComputeRouterNat(
            self,
            "nat",
            name=f"{settings.prefix}-nat",
            project=settings.project_id,
            region=settings.region,
            router=router.name,
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="ALL_SUBNETWORKS_ALL_IP_RANGES",
            log_config=ComputeRouterNatLogConfig(enable=True, filter="ERRORS_ONLY"),
        )
