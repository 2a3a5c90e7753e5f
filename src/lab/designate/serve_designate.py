"""Designate as a lab runs it: all its services in one process, so that they need no message broker.

On the first start it makes its database, its account at Keystone, and a project with a user, an application credential and the zone.
"""
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

DIRECTORY = os.environ["LOTSE_DIRECTORY"]
PORT = int(os.environ["LOTSE_PORT"])
KEYSTONE = os.environ["LOTSE_KEYSTONE"]
ZONE = os.environ["LOTSE_ZONE"]
CONFIGURATION = os.path.join(DIRECTORY, "designate.conf")
# How long the other end may take to listen, seconds.
PATIENCE = 120


def ask(method, url, body=None, token=None):
    """The parsed answer and the token in its head; a refusal is an urllib.error.HTTPError."""
    headers = {"content-type": "application/json"}
    if token:
        headers["x-auth-token"] = token
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
        return (json.loads(text) if text else None), answer.headers.get("x-subject-token")


def wait_for(url):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return ask("GET", url)
        except urllib.error.HTTPError:
            return None
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def log_in(user, password, project):
    domain = {"id": "default"}
    identity = {"methods": ["password"], "password": {"user": {"name": user, "domain": domain, "password": password}}}
    body = {"auth": {"identity": identity, "scope": {"project": {"name": project, "domain": domain}}}}
    return ask("POST", f"{KEYSTONE}/auth/tokens", body)


class Keystone:
    """What Keystone has to have, each thing made where it is missing."""

    def __init__(self):
        _, self.token = log_in("admin", os.environ["OS_BOOTSTRAP_PASSWORD"], "admin")

    def ensure(self, kind, name, body):
        found, _ = ask("GET", f"{KEYSTONE}/{kind}s?name={name}", token=self.token)
        if found[f"{kind}s"]:
            return found[f"{kind}s"][0]["id"]
        made, _ = ask("POST", f"{KEYSTONE}/{kind}s", {kind: {"name": name, **body}}, self.token)
        return made[kind]["id"]

    def project(self, name):
        return self.ensure("project", name, {"domain_id": "default"})

    def user(self, name, password, project, role):
        user = self.ensure("user", name, {"domain_id": "default", "password": password})
        role = self.ensure("role", role, {})
        ask("PUT", f"{KEYSTONE}/projects/{project}/users/{user}/roles/{role}", token=self.token)
        return user

    def endpoint(self):
        service = self.ensure("service", "designate", {"type": "dns"})
        found, _ = ask("GET", f"{KEYSTONE}/endpoints?service_id={service}", token=self.token)
        endpoint = {"interface": "public", "region_id": "lab", "service_id": service, "url": f"http://127.0.0.1:{PORT}"}
        if not found["endpoints"]:
            ask("POST", f"{KEYSTONE}/endpoints", {"endpoint": endpoint}, self.token)


def make_account():
    keystone = Keystone()
    keystone.user("designate", os.environ["LOTSE_SERVICE_PASSWORD"], keystone.project("service"), "admin")
    keystone.endpoint()
    user = keystone.user("lotse", os.environ["LOTSE_USER_PASSWORD"], keystone.project("lab"), "member")
    found, token = log_in("lotse", os.environ["LOTSE_USER_PASSWORD"], "lab")
    credentials = f"{KEYSTONE}/users/{user}/application_credentials"
    there, _ = ask("GET", credentials, token=token)
    if not there["application_credentials"]:
        credential = {"name": "lotse", "secret": os.environ["LOTSE_CREDENTIAL"]}
        ask("POST", credentials, {"application_credential": credential}, token)
    return token


def make_database():
    program = "import sys; from designate.cmd import manage; sys.exit(manage.main())"
    command = [sys.executable, "-c", program, "--config-file", CONFIGURATION, "database", "sync"]
    subprocess.run(command, check=True)


def make_zone(token):
    url = f"http://127.0.0.1:{PORT}/v2/zones"
    wait_for(f"http://127.0.0.1:{PORT}/")
    found, _ = ask("GET", f"{url}?name={ZONE}", token=token)
    if not found["zones"]:
        ask("POST", url, {"name": ZONE, "email": f"hostmaster@{ZONE.rstrip('.')}", "ttl": 300}, token)


def serve():
    os.environ["OS_DESIGNATE_CONFIG_DIR"] = DIRECTORY
    # Designate reads the command line of whoever loads it.
    sys.argv = ["designate"]
    # The first of them chooses threads for all that follow; without it half of the services never run.
    import designate.cmd  # noqa: F401
    from designate.api import wsgi

    application = wsgi.init_application()
    from designate.central import service as central
    from designate.manage.pool import PoolCommands
    from designate.mdns import service as mdns
    from designate.producer import service as producer
    from designate.worker import service as worker
    import waitress

    for service in (central, worker, mdns, producer):
        service.Service().start()
    pools = os.path.join(DIRECTORY, "pools.yaml")
    PoolCommands().update(pools, delete=False, dry_run=False, skip_verify_drivers=True)
    threading.Thread(target=make_zone, args=(token,), daemon=True).start()
    waitress.serve(application, host="127.0.0.1", port=PORT, threads=4)


wait_for(KEYSTONE)
token = make_account()
make_database()
serve()
