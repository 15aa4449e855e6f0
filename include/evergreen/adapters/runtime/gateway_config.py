"""What the gateway's HAProxy starts with: places in, configuration out. Pure.

A place is one stable address, for one model in one environment. All places stand in the
configuration from the start, taken or not, each with a few servers without a name: to give a
server a name or a weight is a command to the running process (`gateway_commands`), as it is to
change one of the words that a place looks up. None of it needs a reload.
"""

from __future__ import annotations

from collections.abc import Mapping

from include.evergreen.adapters.runtime.container_config import PORT
from include.evergreen.adapters.runtime.gateway_place import ALL, SLOTS, Place, Server
from include.evergreen.adapters.runtime.interface import PROBE_HEADER, SMALL_BODY_BYTES

PLACES = 16  # published ports cannot be added later, and each costs the engine a process
PROVERS_PORT = 8000  # inside the container, as is the next
FIRST_PORT = 8001  # place n listens on FIRST_PORT + n - 1
CONFIG_DIR, RUN_DIR = "/etc/evergreen-gateway", "/run/evergreen-gateway"
SOCKET = "admin.sock"
PROVERS_FILE = "provers.lst"
_INSIDE = "SERVICES"
_MAX_CONNECTIONS = 500  # of one place, so that no model takes the gateway from the others
_NOBODY = "localhost"  # a server needs a name; one that is disabled is never asked
_MAX_BODY_BYTES = 2**30  # the most that a spec may allow; the service itself knows its own limit
_BODY_WAIT = "15s"
_LONE_PATIENCE = "40s"  # three tries are the two minutes that a large request has in one


def base_config(inside_subnet: str) -> str:
    """The part that is the same for every place.

    Args:
        inside_subnet: addresses of the services, such as 172.18.0.0/16: none of them is a client.
    """
    return f"""\
global
    setenv {_INSIDE} {inside_subnet}
    stats socket {RUN_DIR}/{SOCKET} mode 600 level admin
    maxconn 2000
    fd-hard-limit 8192
    nbthread 2
    hard-stop-after 5s
    ssl-default-bind-options ssl-min-ver TLSv1.2

# The engine's own name server: a container that comes back at another address is found again.
resolvers engine
    nameserver engine 127.0.0.11:53
    timeout resolve 500ms
    timeout retry 500ms
    resolve_retries 2
    hold valid 500ms
    hold nx 500ms
    hold obsolete 500ms
    # An engine that is stuck does not answer, and its containers go on.
    hold other 1h
    hold refused 1h
    hold timeout 1h

defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 120s
    timeout http-request 15s
    timeout http-keep-alive 60s
    timeout queue 5s
    timeout check 1s
    # An answer of a model may be asked for twice: a failure of one version is asked of the other.
    retries 2
    option redispatch 1
    retry-on conn-failure empty-response response-timeout 500
    option disable-h2-upgrade
    option httpchk GET /ping
    http-check expect status 200
    default-server check inter 1s fastinter 250ms fall 3 rise 1 resolvers engine init-addr none
{_errors()}
# Each service of a place by itself, for those who prove it: /<secret>/<place>/<slot>/...
frontend provers
    bind :{PROVERS_PORT}
    maxconn {_MAX_CONNECTIONS}
{_WHO_IS_LET_IN}
    acl knows path,field(2,/),sha2(256),hex -m str -f {CONFIG_DIR}/{PROVERS_FILE}
    acl names_a_slot path -m reg ^/[^/]*/({_numbers()})/({"|".join(SLOTS)})/
    http-request deny deny_status 404 unless knows names_a_slot
    http-request set-var(txn.place) path,field(3,/)
    http-request set-var(txn.asked) path,field(4,/)
    http-request replace-path /[^/]*/[^/]*/[^/]*(/.*) \\1
    use_backend place%[var(txn.place)]-live
"""


def place_config(number: int, place: Place | None) -> str:
    """The part of one place, taken or not."""
    name, live = place_name(number), backend_name(number)
    whose = f"{place.model} in {place.environment}" if place else "nobody"
    tls = f" ssl crt {certificate_path(number)} alpn http/1.1" if place and place.tls else ""
    return f"""\
# {whose}
frontend {name}
    bind :{FIRST_PORT + number - 1}{tls}
    maxconn {_MAX_CONNECTIONS}
{_WHO_IS_LET_IN}
    http-request set-var(txn.token) str(token),map({words_path(number)})
    acl locked var(txn.token) -m found
    acl shows_it http_auth_bearer,sha2(256),hex,secure_memcmp(txn.token)
    http-request return status 401 {_json("UNAUTHENTICATED", _NO_TOKEN)} \
hdr WWW-Authenticate Bearer if locked !shows_it
    http-request del-header Authorization
    # No client is a prober: what it asks is traffic, and is counted.
    http-request del-header {PROBE_HEADER}
    http-request deny deny_status 413 if {{ req.body_size gt {_MAX_BODY_BYTES} }}
    default_backend {live}

backend {live}
    acl proven var(txn.asked) -m found
    acl several nbsrv({live}) gt 1
    acl small req.body_size le {SMALL_BODY_BYTES}
    # Who proves a service is answered by that one; where none is well, the usual one is asked.
    force-persist if proven
    force-persist if {{ nbsrv({live}) eq 0 }}
    http-request disable-l7-retry if proven
    # What HAProxy holds whole can be asked again.
    http-request wait-for-body time {_BODY_WAIT} if small
    http-request set-timeout server {_LONE_PATIENCE} if small
    http-request set-timeout server str(patience),map({words_path(number)}) if small several !proven
{_choice(live, words_path(number))}
{_servers(place.slots if place else {})}"""


def place_name(number: int) -> str:
    return f"place{number:02d}"


def backend_name(number: int) -> str:
    return f"{place_name(number)}-live"


def words_path(number: int) -> str:
    """The file of what a place looks up, as the process knows it."""
    return f"{CONFIG_DIR}/{place_name(number)}.map"


def certificate_path(number: int) -> str:
    return f"{CONFIG_DIR}/{place_name(number)}.pem"


def words_file(place: Place | None) -> str:
    """What a place looks up from the start, one `word value` a line."""
    words = place.words if place else {}
    return "".join(f"{word} {value}\n" for word, value in sorted(words.items()))


def _choice(backend: str, words: str) -> str:
    """Which server is asked: a number below ALL, by chance or from the key, falls into the part of
    one. A key keeps its number, so a part that grows only takes over keys, and gives none away.
    """
    keyed = f"{{ req.hdr(X-Request-Key) -m found }} {{ str(sticky),map({words}) -m found }}"
    number = "http-request set-var(txn.number)"
    lines = [
        f"{number} rand({ALL})",
        f"{number} req.fhdr(X-Request-Key),xxh32,mod({ALL}) if {keyed}",
        "http-request set-var(txn.end0) int(0)",
    ]
    for n, slot in enumerate(SLOTS, 1):
        weight = f"srv_uweight({backend}/{slot})"
        end = f"http-request set-var(txn.end{n})"
        lines += [
            f"{end} var(txn.end{n - 1})",
            f"{end} {weight},sub(1),add(txn.end{n - 1}) if {{ {weight} gt 0 }}",
        ]
    lines += [f"use-server {slot} if {{ var(txn.asked) -m str {slot} }}" for slot in SLOTS]
    lines += [
        f"use-server {slot} if !proven {{ var(txn.number),sub(txn.end{n - 1}) ge 0 }} "
        f"{{ var(txn.number),sub(txn.end{n}) lt 0 }}"
        for n, slot in enumerate(SLOTS, 1)
    ]
    return "\n".join(f"    {line}" for line in lines)


def _servers(slots: Mapping[str, Server]) -> str:
    lines = ""
    for name in SLOTS:
        server = slots.get(name)
        host, rest = (server.host, str(server.weight)) if server else (_NOBODY, "0 disabled")
        lines += f"    server {name} {host}:{PORT} weight {rest}\n"
    return lines


def _numbers() -> str:
    return "|".join(f"{number:02d}" for number in range(1, PLACES + 1))


_NO_TOKEN = "This model asks for a token: send it as Authorization: Bearer."  # noqa: S105 - a message
_WHO_IS_LET_IN = f"""\
    tcp-request connection reject if {{ src "${{{_INSIDE}}}" }}
    acl from_a_page req.hdr(sec-fetch-site) -m found
    acl from_a_page req.hdr(origin) -m found
    acl for_this_machine req.hdr(host),host_only -m str -i 127.0.0.1 localhost
    http-request deny if {{ req.hdr(sec-fetch-site) -m str cross-site }}
    http-request deny if from_a_page !for_this_machine"""


def _json(code: str, message: str) -> str:
    body = f'{{"error_code": "{code}", "message": "{message}"}}'
    return f"content-type application/json string '{body}'"


def _errors() -> str:
    """What the gateway itself answers looks as what a service answers."""
    answers = {
        403: ("FORBIDDEN", "A page of another site may not ask here."),
        400: ("BAD_REQUEST", "This is no HTTP request that the gateway can read."),
        404: ("NOT_FOUND", "No service is proven here."),
        408: ("REQUEST_TIMEOUT", "The head of the request was not complete in time."),
        413: ("TOO_LARGE", f"The body is larger than {_MAX_BODY_BYTES:,} bytes."),
        502: ("BAD_GATEWAY", "The service broke off before it had answered."),
        503: ("UNAVAILABLE", "No version answers here now. Try again."),
        504: ("GATEWAY_TIMEOUT", "The service did not answer in time."),
    }
    return "".join(
        f"    http-error status {status} {_json(code, message)}\n"
        for status, (code, message) in answers.items()
    )
