"""What a runtime promises: every call may be repeated, and none touches what is not Evergreen's."""

from __future__ import annotations

import datetime as dt
import hashlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from include.evergreen.contracts import BuiltImage, RunningService
from include.evergreen.effects import read
from include.evergreen.errors import Unavailable
from include.evergreen.settings import Settings

Environment = Literal["staging", "production"]
ServiceState = Literal["running", "stopped", "gone"]

#: The label, and the key in a process's record, under which an installation finds its own.
INSTALLATION = "evergreen.installation"
#: Who proves a service sends it with every request: it is answered as any other and is no traffic.
PROBE_HEADER = "X-Evergreen-Probe"
#: A request whose body is no larger is held until it is answered, and so can be asked again of
#: another version: it fits, with its head, into a buffer of the gateway (16,384 bytes).
SMALL_BODY_BYTES = 12_000
#: How long one version may think about such a request while another could answer it.
PATIENCE_S = 3.0


@dataclass(frozen=True)
class Limits:
    """What one service may use. `cpus` above what the machine has is brought down to it."""

    memory_mib: int
    cpus: float
    pids: int


@dataclass(frozen=True)
class ServiceOrder:
    """A service to start. `spool` is the directory it writes what it served to."""

    image: BuiltImage
    environment: Environment
    limits: Limits
    spool: Path
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Traffic:
    """Whom the requests of a model in an environment are sent to.

    `shares`: of all requests, by the service's name, each above 0; {} where nobody is sent to
    anybody. `spare`: the service that answers what those do not, '' for none. `sticky`: requests
    with one X-Request-Key are answered by one of them.
    """

    shares: Mapping[str, float]
    spare: str = ""
    sticky: bool = False


@dataclass(frozen=True)
class DoorSettings:
    """What clients need to be let in. `certificate`: PEM text with its key, '' for plain HTTP;
    `token`: what they show as `Authorization: Bearer`, '' for nothing.
    """

    certificate: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def open(self) -> bool:
        return not self.certificate and not self.token


@dataclass(frozen=True)
class StoredImage:
    """An image that says it is of this version. `ours`: it was made by this installation; one
    that an earlier release made does not say so.
    """

    reference: str
    digest: str
    model: str
    version: int
    made_at: dt.datetime
    ours: bool


class Runtime(Protocol):
    """A place where services run. Errors: `Unavailable` when it does not answer (a retry can
    help), `ArtifactRefused` for an image that is not what was built.
    """

    name: Literal["docker", "process"]
    #: Whether requests can be divided, and a spare and a door can be had: `split`, `publish` with
    #: a spare, and `guard` raise Unsupported where not.
    splits: bool

    def prepare(self) -> None:
        """Make all that needs the network once, so that `build` needs none."""

    def build(
        self, bundle: Path, *, model: str, version: int, manifest_digest: str, training_key: str
    ) -> BuiltImage:
        """The image of a version; one that is there already is returned, not built again."""

    def has(self, image: BuiltImage) -> bool:
        """Whether the very image recorded, digest for digest, is still there."""

    def name_of(self, order: ServiceOrder) -> str:
        """The name under which `start` runs it: the same in every try (`service_name`)."""

    def start(self, order: ServiceOrder) -> RunningService:
        """The service, running or on its way up; one already there for this image is kept."""

    def reach(self, service: RunningService) -> str:
        """The base URL at which this very service answers, whoever clients are sent to.

        Several can be asked at once, each at its own. No door is shut to it: who has it is let in,
        so it is not to be logged.
        """

    def publish(
        self,
        service: RunningService,
        *,
        spare: RunningService | None = None,
        patience_s: float = PATIENCE_S,
    ) -> RunningService:
        """From now on the endpoint of its model and environment is answered by this service.

        No request is lost on the way, and what was divided before is not any longer. A service
        that does not answer is published only where no other does. The spare is asked what this
        service does not answer: at once where it has ended, after `patience_s` where it hangs.

        Raises:
            Unavailable: it does not answer, or nothing can be published now; who answered before
                still does.
            Unsupported: a spare was given, and there is nothing that could ask it.
        """

    def split(
        self,
        shares: Mapping[RunningService, float],
        *,
        sticky: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Divide the requests of one model in one environment among up to three services.

        Each is spare to the others. Shares are above 0 and add up to 1; they are kept in steps of
        half a percent, and none becomes nothing. Sticky: requests with one X-Request-Key are
        answered by one version, also after a restart, and a share that grows takes keys over and
        gives none away. Others go by chance.

        Raises:
            Unavailable: one of them does not answer; requests are sent where they were.
            Unsupported: nothing stands in front of them that could divide.
            ValueError: the shares are no such numbers, or of services of different places.
        """

    def traffic(self, model: str, environment: Environment) -> Traffic:
        """Where requests are sent now, as the running gateway says.

        Raises:
            Unavailable: it does not run or answer.
        """

    def guard(self, model: str, environment: Environment, door: DoorSettings) -> None:
        """From now on only who shows the token is let in, and all is said over TLS.

        A token and a new certificate are in force at once and cost nothing; to turn TLS on or off
        starts the gateway anew, which every client of the installation notices once.

        Raises:
            Unsupported: there is no door, and one was asked for.
            ArtifactRefused: the certificate cannot be used; the door is as it was.
        """

    def is_guarded(self, model: str, environment: Environment, door: DoorSettings) -> bool:
        """Whether the door is this very one, its token and its certificate, as the gateway says.

        Raises:
            Unavailable: it does not run or answer.
        """

    def way_to(self, service: RunningService, /) -> str:
        """What stands between a client and the service: another word after it was started anew."""

    def is_published(self, service: RunningService) -> bool:
        """Whether requests to its endpoint are sent to it."""

    def is_silent(self, service: RunningService) -> bool:
        """Whether requests are sent to it, and it does not answer the gateway's own checks, so that
        its spare is asked in its stead.

        Raises:
            Unavailable: the gateway does not answer.
        """

    def state(self, service: RunningService) -> ServiceState: ...

    def keep(self, service: RunningService) -> None:
        """From now on the service comes back by itself after a crash, where the runtime can."""

    def remove(self, service: RunningService, *, grace_s: float) -> None:
        """Stop (SIGTERM, then after `grace_s` SIGKILL) and remove; gone already is fine."""

    def stop(self, service: RunningService, *, grace_s: float) -> None:
        """Stop, and keep what a later `start` needs."""

    def logs(self, service: RunningService, *, lines: int) -> str:
        """The newest lines of its output; '' when there is none left."""

    def find(
        self, model: str | None = None, environment: Environment | None = None
    ) -> list[RunningService]:
        """This installation's services, running or not."""

    def started_at(self, service: RunningService) -> dt.datetime | None:
        """When it was last started (made, if never); None if it is gone."""

    def images(self) -> list[StoredImage]:
        """Every image of a version, other installations' on the same engine among them."""

    def discard(self, reference: str) -> None:
        """Remove an image of a version; one that a service uses stays, gone already is fine."""

    def networks(self) -> dict[str, tuple[dt.datetime, int]]:
        """This installation's networks: when each was made, and how many containers need it."""

    def remove_network(self, name: str) -> None:
        """Remove a network that no service needs, and its gateway; gone already is fine."""


@read
def service_name(settings: Settings, image: BuiltImage, environment: Environment) -> str:
    """Where this image answers: the same name in every try, another for any other image.

    The last part stands for installation and image digest: a version built anew (the serving
    app changed) starts beside the container that is live, instead of in its place.
    """
    told_apart = f"{settings.installation_id}:{image.digest}"
    suffix = hashlib.sha256(told_apart.encode()).hexdigest()[:8]
    return f"evergreen-{image.model}-v{image.version}-{environment}-{suffix}"


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(preferred: int | None = None) -> int:
    """A port of 127.0.0.1 that nobody listens on now; the preferred one if it is free."""
    if preferred and is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 0))
        except OSError as error:
            raise Unavailable("There is no free port on 127.0.0.1.") from error
        return int(probe.getsockname()[1])
