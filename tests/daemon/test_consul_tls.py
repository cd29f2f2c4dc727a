"""A real Consul behind TLS, with and without client certificates: reached, or not at all and said in one clear line."""

import re
import time
from pathlib import Path

import pytest
from support.consul import Consul
from support.fpm import Fpm
from support.helper import Helper
from support.tls import Authority
from support.waiting import free_port, until

SEVERAL_TRIES_S = 1.5


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture
def fpm(workdir):
    with Fpm(workdir) as fpm:
        yield fpm


class TlsConsul(Consul):
    """Serves https too; by `http` the test sees what is registered."""

    def __init__(self, directory, authority, certificate, verify_incoming):
        self.https_port = free_port()
        self.https_url = f"https://127.0.0.1:{self.https_port}"
        files = f'ca_file = "{authority.ca}", cert_file = "{certificate[0]}", key_file = "{certificate[1]}"'
        verify = f"verify_incoming = {str(verify_incoming).lower()}"
        tls = f"tls {{ https {{ {files}, {verify} }} }}"
        super().__init__(directory, f"-https-port={self.https_port}", "-hcl", tls)


@pytest.fixture
def agent(workdir, authority):
    started = []

    def agent(certificate=None, verify_incoming=False):
        consul = TlsConsul(workdir, authority, certificate or authority.server, verify_incoming)
        started.append(consul)
        return consul.start()

    yield agent
    for consul in started:
        consul.stop()


def helper_for(workdir, fpm, url, **consul):
    return Helper(workdir, [{"name": "web", "listen": fpm.listen()}], consul={"url": url, **consul})


def the_one_line(helper):
    """What the log says of Consul: one line, however often it was tried."""
    helper.wait_log("PHP is served on")
    time.sleep(SEVERAL_TRIES_S)
    [line] = [line for line in helper.log_text().splitlines() if "consul https" in line]
    print(line)
    return line


def mutual(authority):
    return {"ca_cert": authority.ca, "client_cert": authority.client[0], "client_key": authority.client[1]}


def test_a_known_authority_is_enough_where_no_client_certificate_is_asked_for(workdir, fpm, agent, authority):
    consul = agent()
    with helper_for(workdir, fpm, consul.https_url, ca_cert=authority.ca) as helper:
        consul.wait_status("web", "passing")
        assert helper.status()["consul"] == {"url": consul.https_url, "state": "ok", "error": ""}


def test_a_client_certificate_is_shown_where_one_is_asked_for(workdir, fpm, agent, authority):
    consul = agent(verify_incoming=True)
    with helper_for(workdir, fpm, consul.https_url, **mutual(authority)):
        consul.wait_status("web", "passing")


def test_the_environment_of_consuls_own_tools_is_enough(workdir, fpm, agent, authority, serve):
    consul = agent(verify_incoming=True)
    certificate, key = authority.client
    serve(
        "--pool",
        f"web={fpm.listen()}",
        "--run-dir",
        str(workdir / "run"),
        "--consul",
        f"127.0.0.1:{consul.https_port}",
        CONSUL_HTTP_SSL="true",
        CONSUL_CACERT=authority.ca,
        CONSUL_CLIENT_CERT=certificate,
        CONSUL_CLIENT_KEY=key,
    )
    consul.wait_status("web", "passing")


def test_without_verification_any_certificate_will_do_and_that_is_said(workdir, fpm, agent, other_authority, serve):
    consul = agent()
    process = serve(
        "--pool",
        f"web={fpm.listen()}",
        "--run-dir",
        str(workdir / "run"),
        "--consul",
        consul.https_url,
        CONSUL_CACERT=other_authority.ca,
        CONSUL_HTTP_SSL_VERIFY="false",
    )
    consul.wait_status("web", "passing")
    process.terminate()
    errors = process.communicate(timeout=5)[1]
    assert errors.count("certificate is not verified") == 1, errors


def test_an_unknown_authority_is_refused(workdir, fpm, agent, other_authority):
    consul = agent()
    with helper_for(workdir, fpm, consul.https_url, ca_cert=other_authority.ca) as helper:
        assert re.search("certificate verification failed", the_one_line(helper))
        assert consul.health("web") == []


def test_an_expired_certificate_is_refused(workdir, fpm, agent, authority):
    consul = agent(authority.server_with("expired", days=-1))
    with helper_for(workdir, fpm, consul.https_url, ca_cert=authority.ca) as helper:
        assert re.search("certificate verification failed|expired", the_one_line(helper))
        assert consul.health("web") == []


def test_a_certificate_of_another_name_is_refused(workdir, fpm, agent, authority):
    consul = agent(authority.server_with("elsewhere", names="subjectAltName=DNS:consul.example\n"))
    with helper_for(workdir, fpm, consul.https_url, ca_cert=authority.ca) as helper:
        assert re.search("name|does not match", the_one_line(helper))
        assert consul.health("web") == []


def test_a_missing_client_certificate_is_named(workdir, fpm, agent, authority):
    consul = agent(verify_incoming=True)
    with helper_for(workdir, fpm, consul.https_url, ca_cert=authority.ca) as helper:
        until(lambda: "client_cert" in helper.status()["consul"]["error"], what="it is named")
        the_one_line(helper)
        assert consul.health("web") == []


def test_a_client_certificate_of_another_authority_is_refused(workdir, fpm, agent, authority, other_authority):
    consul = agent(verify_incoming=True)
    mixed = {**mutual(other_authority), "ca_cert": authority.ca}
    with helper_for(workdir, fpm, consul.https_url, **mixed) as helper:
        until(lambda: "client_cert" in helper.status()["consul"]["error"], what="it is named")
        the_one_line(helper)
        assert consul.health("web") == []


@pytest.mark.parametrize("key", ["ca_cert", "client_cert", "client_key"])
def test_a_file_that_is_missing_is_named(workdir, fpm, agent, authority, key):
    consul = agent(verify_incoming=True)
    with helper_for(workdir, fpm, consul.https_url, **{**mutual(authority), key: "/nowhere/x.pem"}) as helper:
        assert "/nowhere/x.pem" in the_one_line(helper)
        assert consul.health("web") == []


def test_plain_http_to_the_tls_port_is_never_tried_instead(workdir, fpm, authority):
    """Nothing but TLS may reach an https URL, also where the peer speaks plain HTTP."""
    with Consul(workdir) as consul:
        url = consul.url.replace("http:", "https:")
        with helper_for(workdir, fpm, url, ca_cert=authority.ca) as helper:
            the_one_line(helper)
            assert consul.health("web") == []


def test_a_renewed_client_certificate_is_used_without_a_restart(workdir, fpm, agent, authority, other_authority):
    consul = agent(verify_incoming=True)
    certificate, key = workdir / "client.pem", workdir / "client-key.pem"

    def install(source):
        for target, path in zip((certificate, key), source.client, strict=True):
            target.write_text(Path(path).read_text())

    install(other_authority)
    files = {"ca_cert": authority.ca, "client_cert": str(certificate), "client_key": str(key)}
    with helper_for(workdir, fpm, consul.https_url, **files) as helper:
        helper.wait_log("PHP is served on")
        install(authority)
        consul.wait_status("web", "passing", timeout=3)
        until(lambda: helper.status()["consul"]["state"] == "ok", what="connected")
