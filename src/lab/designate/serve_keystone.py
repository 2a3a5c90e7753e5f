"""Keystone as a lab runs it: its database is made on the first start, and then it serves until it is ended."""
import os
import subprocess
import sys

DIRECTORY = os.environ["LOTSE_DIRECTORY"]
PORT = int(os.environ["LOTSE_PORT"])
CONFIGURATION = os.path.join(DIRECTORY, "keystone.conf")
MADE = os.path.join(DIRECTORY, "keystone.made")


def manage(*arguments):
    program = "import sys; from keystone.cmd import manage; sys.exit(manage.main())"
    command = [sys.executable, "-c", program, "--config-file", CONFIGURATION, *arguments]
    subprocess.run(command, check=True)


def make():
    if os.path.exists(MADE):
        return
    owner = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    manage("db_sync")
    manage("fernet_setup", *owner)
    manage("credential_setup", *owner)
    # The password comes from OS_BOOTSTRAP_PASSWORD.
    manage("bootstrap", "--bootstrap-public-url", f"http://127.0.0.1:{PORT}/v3", "--bootstrap-region-id", "lab")
    open(MADE, "w").close()


def serve():
    os.environ["OS_KEYSTONE_CONFIG_FILES"] = CONFIGURATION
    # Keystone reads the command line of whoever loads it.
    sys.argv = ["keystone"]
    import waitress
    from keystone.server import wsgi

    waitress.serve(wsgi.initialize_public_application(), host="127.0.0.1", port=PORT, threads=4)


make()
serve()
