# SPDX-License-Identifier: MIT
"""Certificates for stories, made with the openssl command: a CA, and servers that are right or wrong in one thing."""
import ssl
import subprocess
from pathlib import Path

from world import StoryFailed


def openssl(*args, cwd):
    done = subprocess.run(["openssl", *args], cwd=cwd, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise StoryFailed(f"openssl {args[0]}: {done.stderr}")


class Authority:
    def __init__(self, world, name="ca"):
        self.folder = Path(world.folder("certs"))
        self.name = name
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN=Story {name}", cwd=self.folder)
        self.pem = str(self.folder / f"{name}.pem")

    def issue(self, name, alt="IP:127.0.0.1,DNS:localhost", start=None, end=None):
        """A certificate and its key, as a server's or a client's context wants them. start, end: as 260101000000Z."""
        f = self.folder
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", "-subj", f"/CN={name}", cwd=f)
        (f / f"{name}.cnf").write_text(
            "[ca]\ndefault_ca = d\n[d]\ndatabase = {n}.index\nserial = {n}.serial\nnew_certs_dir = .\n"
            "default_md = sha256\npolicy = p\nx509_extensions = x\n[p]\ncommonName = supplied\n"
            "[x]\nbasicConstraints = CA:FALSE\n{alt}".format(
                n=name, alt=f"subjectAltName = {alt}\n" if alt else ""))
        (f / f"{name}.index").write_text("")
        (f / f"{name}.serial").write_text(f"{abs(hash(name)) % 10**8 + 16:08d}\n")
        times = [*(["-startdate", start] if start else []), *(["-enddate", end] if end else ["-days", "1"])]
        openssl("ca", "-batch", "-notext", "-config", f"{name}.cnf", "-cert", f"{self.name}.pem", "-keyfile",
                f"{self.name}.key", "-in", f"{name}.csr", "-out", f"{name}.pem", *times, cwd=f)
        return str(f / f"{name}.pem"), str(f / f"{name}.key")


def self_signed(world, name="alone"):
    f = Path(world.folder("certs"))
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key",
            "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}", "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost", cwd=f)
    return str(f / f"{name}.pem"), str(f / f"{name}.key")


def server(pair, client_ca=None, names=None, most=None):
    """A server's context. client_ca: it wants a client certificate of that CA. names: where asked-for names go."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    if names is not None:
        context.sni_callback = lambda sock, name, ctx: names.append(name)
    if most:
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = most
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context
