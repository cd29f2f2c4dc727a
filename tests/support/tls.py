"""Certificates as `consul tls` makes them, and a few that are wrong."""

import subprocess
from pathlib import Path

from .programs import program

SERVER_NAMES = "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n"


class Authority:
    """A CA of its own in `directory`, with one certificate for servers and one for clients. All are paths as text."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.directory.mkdir(mode=0o755)
        self._consul("ca", "create")
        self._consul("cert", "create", "-server", "-dc", "dc1")
        self._consul("cert", "create", "-client")
        self.ca = self._path("consul-agent-ca.pem")
        self.server = (self._path("dc1-server-consul-0.pem"), self._path("dc1-server-consul-0-key.pem"))
        self.client = (self._path("dc1-client-consul-0.pem"), self._path("dc1-client-consul-0-key.pem"))
        for path in self.directory.iterdir():
            path.chmod(0o644)

    def _consul(self, *arguments):
        subprocess.run([program("consul"), "tls", *arguments], cwd=self.directory, check=True, capture_output=True)

    def _path(self, name):
        return str(self.directory / name)

    def server_with(self, name, days=1, names=SERVER_NAMES):
        """Another certificate for the server's key: (certificate, key)."""
        extensions, request, certificate = (self.directory / f"{name}.{kind}" for kind in ("ext", "csr", "pem"))
        extensions.write_text(names)
        key = self.server[1]
        sign = ["-req", "-in", request, "-CA", self.ca, "-CAkey", self._path("consul-agent-ca-key.pem")]
        for command in (
            ["req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request],
            ["x509", *sign, "-days", str(days), "-extfile", extensions, "-out", certificate],
        ):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
        return str(certificate), key
