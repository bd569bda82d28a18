"""KatoProcessor: one KATO instance, as a user writes it and as the operator reports on it.

Read by the operator, by `kato apply` and by `kato_spec.schema`, which makes the CRD of it (spec: operator.md).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from kato_spec.meta import Conditions, ParameterSet, ProcessorMeta, SecretRef
from kato_spec.names import (
    RESERVED_NAMES,
    Annotations,
    ContainerImage,
    Labels,
    ObjectName,
    SecretKey,
    Text,
    qualified_keys,
)
from kato_spec.pods import (
    Affinity,
    EnvVar,
    LocalObjectRef,
    Resources,
    Toleration,
    TopologySpread,
    list_map,
)
from kato_spec.records import ParametersRecord, SessionDefaults
from kato_spec.rules import Rule, SpecModel, Transition, get
from kato_spec.storage import Storage, StorageStatus


class Autoscaling(SpecModel):
    """Bounds and target of a HorizontalPodAutoscaler."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            holds=lambda self: self["minReplicas"] <= self["maxReplicas"],
            reads=("minReplicas", "maxReplicas"),
            allowed="at most maxReplicas",
        ),
    )

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = Field(1, description="Fewest pods.")
    max_replicas: Annotated[int, Field(ge=1, le=1000)] = Field(description="Most pods.")
    target_cpu_utilization: Annotated[int, Field(ge=1, le=1000)] = Field(
        80,
        alias="targetCPUUtilization",
        description="Mean CPU of the pods to aim at, in percent of what they request.",
    )


class Sessions(SpecModel, SessionDefaults):
    """What a new session gets unless it asks for something else."""


class TokensRef(SecretRef):
    """The key of a Secret that holds bearer tokens."""

    key: SecretKey = Field("tokens", description="Key of the Secret that holds the tokens, comma separated.")


class Auth(SpecModel):
    """Who may use the service's API."""

    tokens_secret_ref: TokensRef = Field(description="Bearer tokens, any of which opens the service's API.")


class KatoProcessorSpec(SpecModel):
    """What the user wants of a processor."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (
        Rule(
            cel="self.replicas <= 1 || !has(self.storage) || !has(self.storage.embedded)",
            holds=lambda self: self["replicas"] <= 1 or get(self, "storage.embedded") is None,
            reads=("replicas", "storage.embedded"),
            allowed="0 or 1 with embedded storage; more replicas need external storage",
        ),
        Rule(
            cel="!has(self.autoscaling) || !has(self.storage) || !has(self.storage.embedded)",
            holds=lambda self: "autoscaling" not in self or get(self, "storage.embedded") is None,
            reads=("autoscaling", "storage.embedded"),
            allowed="absent with embedded storage, which serves one replica; autoscaling needs external storage",
            reason="FieldValueForbidden",
        ),
        *map(qualified_keys, ("podLabels", "podAnnotations", "nodeSelector", "serviceAnnotations")),
    )

    display_name: Text = Field("KatoProcessor", description="The human-readable name.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(
        8000, description="Port of the Service; the container always listens on 8000."
    )
    replicas: Annotated[int, Field(ge=0, le=1000)] = Field(
        1, description="Pods that serve this one memory; embedded storage allows one."
    )
    autoscaling: Autoscaling | None = Field(
        None, description="Scale by CPU between bounds; needs external storage. Left out: replicas is as written."
    )
    parameters: ParameterSet | None = Field(
        None, description="Defaults of new sessions. A change is live within seconds and restarts nothing."
    )
    sessions: Sessions | None = Field(
        None, description="What a new session gets unless it asks for something else; restarts nothing either."
    )
    storage: Storage | None = Field(
        None,
        description="Where the memory lies: at most one of embedded and external. Left out: the stores that the chart "
        "names, else embedded with 1Gi; status.storage says which, and keeps it.",
    )
    auth: Auth | None = Field(None, description="Bearer tokens for the service's API; left out: it is open.")
    deletion_policy: Literal["Retain", "Delete"] = Field(
        "Retain",
        description="Retain: the memory outlives this object and is found again by one of the same name. "
        "Delete: the memory is removed first.",
    )
    suspend: bool = Field(
        False, description="Scale to zero and keep all memory and sessions; a session's time to live runs on."
    )
    image: ContainerImage | None = Field(None, description="Image of the service; left out: the operator's.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        None, description="When the image is pulled, as in a pod."
    )
    image_pull_secrets: (
        Annotated[list[LocalObjectRef], Field(max_length=16, json_schema_extra=list_map("name"))] | None
    ) = Field(None, description="Secrets for pulling the image, as in a pod.")
    resources: Resources | None = Field(
        None, description="Requests and limits of each pod; left out: small requests and a memory limit."
    )
    env: Annotated[list[EnvVar], Field(max_length=64, json_schema_extra=list_map("name"))] | None = Field(
        None, description="Environment variables of the service, as in a pod; KATO_* are refused."
    )
    node_selector: Labels | None = Field(None, description="Labels that a node must have, as in a pod.")
    tolerations: Annotated[list[Toleration], Field(max_length=32)] | None = Field(
        None, description="Taints that the pods bear with, as in a pod."
    )
    affinity: Affinity | None = Field(None, description="Where the pods want to run, as in a pod.")
    topology_spread_constraints: Annotated[list[TopologySpread], Field(max_length=16)] | None = Field(
        None, description="How the pods spread over zones or nodes, as in a pod."
    )
    pod_annotations: Annotations | None = Field(None, description="Annotations of the pods.")
    pod_labels: Labels | None = Field(
        None, description="Labels of the pods; the operator's own labels cannot be replaced."
    )
    priority_class_name: ObjectName | None = Field(None, description="PriorityClass of the pods.")
    service_account_name: ObjectName | None = Field(
        None, description="ServiceAccount of the pods; left out: one of the processor's own."
    )
    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        "ClusterIP", description="Type of the Service."
    )
    service_annotations: Annotations | None = Field(None, description="Annotations of the Service.")


class KatoProcessorStatus(SpecModel):
    """What the operator reports on a processor."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        None, description="The generation of the spec that this status is about."
    )
    replicas: Annotated[int, Field(ge=0)] | None = Field(None, description="Pods there are.")
    ready_replicas: Annotated[int, Field(ge=0)] | None = Field(None, description="Pods that answer.")
    selector: Annotated[str, Field(max_length=1024)] | None = Field(
        None, description="Label selector of the pods, for the scale subresource."
    )
    endpoint: Annotated[str, Field(max_length=512)] | None = Field(
        None, description="URL of the service's API inside the cluster."
    )
    patterns: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Patterns in the memory, refreshed at most every 30 s."
    )
    active_sessions: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Sessions that have not expired, refreshed at most every 30 s."
    )
    storage: StorageStatus | None = Field(None, description="Which storage was resolved, and is kept.")
    conditions: Conditions | None = Field(
        None, description="Ready, Progressing, Degraded, StoreReachable and ParametersLive."
    )


class KatoProcessor(SpecModel):
    """One KATO instance: a memory, the service that learns into it and predicts from it, and its address."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (RESERVED_NAMES,)

    api_version: Literal["kato.dev/v1alpha1"] = Field(description="Version of the schema of this object.")
    kind: Literal["KatoProcessor"] = Field(description="Kind of this object.")
    metadata: ProcessorMeta = Field(description="Name, namespace, labels and annotations.")
    spec: KatoProcessorSpec = Field(
        default_factory=KatoProcessorSpec,
        json_schema_extra={"default": {}},
        description="What the user wants of the processor.",
    )
    status: KatoProcessorStatus | None = Field(None, description="What the operator reports on the processor.")

    def record(self, uid: str, generation: int) -> ParametersRecord:
        """Return the configuration as the service is to have it, under the identity `uid` and `generation`."""
        return ParametersRecord(
            uid=uid,
            generation=generation,
            display_name=self.spec.display_name,
            parameters=self.spec.parameters.overrides() if self.spec.parameters else {},
            sessions=self.spec.sessions or SessionDefaults(),
        )
