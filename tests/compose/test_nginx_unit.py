"""The balancer's pure Lua modules, tested in the very LuaJIT that runs them: the image's nginx."""

import re
import shutil
import tempfile
from pathlib import Path

import pytest
from nginx_lab import docker, image

SOURCE = Path(__file__).with_name("nginx_unit.lua")
NAMES = re.findall(r"^function tests\.(\w+)", SOURCE.read_text(), re.MULTILINE)

CONFIGURATION = """
load_module modules/ndk_http_module.so;
load_module modules/ngx_http_lua_module.so;
pid /tmp/unit.pid;
events {}
http {
    access_log off;
    client_body_temp_path /tmp/a; fastcgi_temp_path /tmp/b; proxy_temp_path /tmp/c;
    uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;
    lua_package_path "/usr/share/svcreg-nginx/lua/?.lua;;";
    init_by_lua_file /unit/nginx_unit.lua;
}
"""


@pytest.fixture(scope="module")
def results():
    directory = Path(tempfile.mkdtemp(prefix="svcreg-", dir="/tmp"))
    directory.chmod(0o755)
    (directory / "nginx.conf").write_text(CONFIGURATION)
    shutil.copyfile(SOURCE, directory / SOURCE.name)
    nginx = ["nginx", "-e", "stderr", "-c", "/unit/nginx.conf"]
    output = docker("run", "--rm", "--network=none", f"--volume={directory}:/unit:ro", image(), *nginx, check=False)
    shutil.rmtree(directory)
    return output


@pytest.mark.parametrize("name", NAMES)
def test_lua(results, name):
    assert re.search(rf"^ok {name}$", results, re.MULTILINE), results
