"""The copies of envoy/envoy.yaml that the stack runs: ports, names and the filter's configuration
changed, everything else as it stands there. Each edit must find its place exactly once."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from .errors import Failure
from .options import LOOPBACK, ROOT, Options
from .ports import Ports, has_ipv6_loopback

TEMPLATE = ROOT / "envoy" / "envoy.yaml"
VALUE_START = "                  value: {\n"
VALUE_END = "                  }\n"


def write_envoy_configs(options: Options, ports: Ports) -> list[Path]:
    """Writes `envoy-N.yaml` into the run directory for each Envoy and returns the paths."""
    paths = []
    for n, (gateway, admin) in enumerate(zip(ports.gateways, ports.admins)):
        path = options.run_dir / f"envoy-{n}.yaml"
        path.write_text(render(TEMPLATE.read_text(), options, ports, gateway, admin))
        paths.append(path)
    return paths


def public_url(options: Options, ports: Ports) -> str:
    """One site, however many Envoys serve it: the address of the first."""
    return f"http://localhost:{ports.gateways[0] if ports.gateways else 8000}"


def issuer_url(options: Options, ports: Ports) -> str:
    """The provider that sessions come from."""
    return options.issuer or f"http://localhost:{ports.idp}"


def render(text: str, options: Options, ports: Ports, gateway: int, admin: int) -> str:
    text = replace(text, "port_value: 9901 ", f"port_value: {admin} ")
    text = replace(text, "127.0.0.1, port_value: 9300 ", f"127.0.0.1, port_value: {ports.app} ")
    text = replace(text, "127.0.0.1, port_value: 9100 ", f"127.0.0.1, port_value: {ports.control} ")
    text = replace(text, "filename: target/gatelatch.wasm\n", f"filename: {json.dumps(str(options.wasm))}\n")
    text = listener(text, gateway)
    text = idp_cluster(text, options, ports)
    for name in options.vm_env:
        last = "                    - GATELATCH_GATEWAY_TOKEN\n"
        text = replace(text, last, last + f"                    - {name}\n")
    before, block, after = filter_block(text)
    value = json.dumps(filter_config(block, options, ports), indent=2)
    return before + VALUE_START.removesuffix("{\n") + value.replace("\n", "\n" + " " * 18) + "\n" + after


def listener(text: str, port: int) -> str:
    old = "    address:\n      socket_address: { address: 127.0.0.1, port_value: 8000 }\n"
    new = old.replace("8000", str(port))
    if has_ipv6_loopback():
        new += f'    additional_addresses:\n    - address:\n        socket_address: {{ address: "::1", port_value: {port} }}\n'
    return replace(text, old, new)


def idp_cluster(text: str, options: Options, ports: Ports) -> str:
    issuer = urlsplit(issuer_url(options, ports))
    secure = issuer.scheme == "https"
    port = issuer.port or (443 if secure else 80)
    host = json.dumps(issuer.hostname)
    text = replace(text, "address: localhost, port_value: 9400 ", f"address: {host}, port_value: {port} ")
    if not secure:
        return text
    names = f"{{ san_type: DNS, matcher: {{ exact: {host} }} }}"
    if issuer.hostname in LOOPBACK[1:]:
        names = f"{{ san_type: IP_ADDRESS, matcher: {{ exact: {host} }} }}"
    start = "  - name: idp\n"
    return replace(
        text,
        start,
        start
        + f"""\
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: {host}
        common_tls_context:
          validation_context:
            trusted_ca: {{ filename: {json.dumps(trusted_authorities())} }}
            match_typed_subject_alt_names:
            - {names}
""",
    )


def trusted_authorities() -> str:
    for candidate in (ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"):
        if candidate and Path(candidate).is_file():
            return candidate
    raise Failure("no file of trusted certificates found; set SSL_CERT_FILE to one")


def filter_block(text: str) -> tuple[str, str, str]:
    """Splits at the filter's configuration: a flow mapping that is JSON but for its comments."""
    if text.count(VALUE_START) != 1:
        raise Failure(f"{TEMPLATE} has not exactly one filter configuration that starts with `value: {{`")
    before, _, rest = text.partition(VALUE_START)
    block, end, after = rest.partition(VALUE_END)
    if not end:
        raise Failure(f"{TEMPLATE}: the filter's configuration does not end")
    return before, block, after


def filter_config(block: str, options: Options, ports: Ports) -> dict:
    lines = [line for line in block.splitlines() if not line.lstrip().startswith("#")]
    try:
        config = json.loads("{" + "\n".join(lines) + "}")
    except ValueError as error:
        raise Failure(f"{TEMPLATE}: the filter's configuration is not JSON between its comments: {error}") from None
    config["issuer"] = issuer_url(options, ports)
    config["client_id"] = options.client_id
    config["public_url"] = public_url(options, ports)
    if options.session_ttl is not None:
        config["session"]["ttl"] = options.session_ttl
        if seconds(options.session_ttl) > seconds(config["session"]["max_age"]):
            config["session"]["max_age"] = options.session_ttl  # a token cannot outlive its session
    return merge(config, options.filter_config)


def seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[duration[-1]]


def merge(base: dict, extra: dict) -> dict:
    """JSON merge patch (RFC 7396): objects merge, null removes, all else replaces."""
    result = dict(base)
    for key, value in extra.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            old = result.get(key)
            result[key] = merge(old if isinstance(old, dict) else {}, value)
        else:
            result[key] = value
    return result


def replace(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise Failure(f"{TEMPLATE} has {text.count(old)} places like {old.strip().splitlines()[-1]!r}; there must be one")
    return text.replace(old, new)
