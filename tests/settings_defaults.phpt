--TEST--
the settings and their defaults are the documented ones
--EXTENSIONS--
svcreg
--FILE--
<?php
foreach (ini_get_all('svcreg') as $name => $entry) {
    if ($name !== 'svcreg.helper') {
        printf("%s=%s access=%d\n", $name, $entry['global_value'], $entry['access']);
    }
}
var_dump(str_ends_with(ini_get('svcreg.helper'), '/fpm-health'));
?>
--EXPECT--
svcreg.address= access=4
svcreg.agent_listen=off access=4
svcreg.consul=auto access=4
svcreg.deregister_after=1m access=4
svcreg.drain_probers=700ms access=4
svcreg.drain_quiet=300ms access=4
svcreg.drain_timeout=25s access=4
svcreg.enabled=1 access=4
svcreg.hang_timeout=10s access=4
svcreg.health_listen=127.0.0.1:9180 access=4
svcreg.heartbeat=500ms access=4
svcreg.instance= access=4
svcreg.log= access=4
svcreg.log_level=notice access=4
svcreg.meta= access=4
svcreg.node= access=4
svcreg.probe= access=4
svcreg.probe_interval=5s access=4
svcreg.ready=auto access=4
svcreg.run_dir=/run/svcreg access=4
svcreg.service= access=4
svcreg.tags= access=4
svcreg.token_file= access=4
svcreg.ttl=1500ms access=4
svcreg.user= access=4
svcreg.warmup= access=4
svcreg.weight=0 access=4
bool(true)
