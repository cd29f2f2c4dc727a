--TEST--
a value that can't be used is warned about at start, by name, and the default holds
--EXTENSIONS--
svcreg
--INI--
display_startup_errors=1
svcreg.consul=consul.example
svcreg.ttl=soon
svcreg.heartbeat=-1s
svcreg.deregister_after=9999999h
svcreg.probe_interval=1.5s
svcreg.hang_timeout=10 s
svcreg.drain_quiet=
svcreg.drain_probers=7x
svcreg.drain_timeout=99999999999999999999
svcreg.ready=maybe
svcreg.log_level=loud
svcreg.weight=65536
--FILE--
<?php
foreach (['consul', 'ttl', 'heartbeat', 'drain_timeout', 'ready', 'log_level', 'weight'] as $name) {
    echo $name, '=', ini_get("svcreg.$name"), "\n";
}
?>
--EXPECT--
Warning: svcreg.consul: "consul.example" is not an address such as http://127.0.0.1:8500, https://…, unix:///…, or auto or off; the default is used in Unknown on line 0

Warning: svcreg.weight: "65536" is not a weight from 1 to 65535, or 0 for pm.max_children; the default is used in Unknown on line 0

Warning: svcreg.ttl: "soon" is not a duration such as 500ms, 2s or 1m; the default is used in Unknown on line 0

Warning: svcreg.heartbeat: "-1s" is not a duration such as 500ms, 2s or 1m; the default is used in Unknown on line 0

Warning: svcreg.deregister_after: "9999999h" is not a duration such as 500ms, 2s or 1m; the default is used in Unknown on line 0

Warning: svcreg.ready: "maybe" is not one of auto|manual; the default is used in Unknown on line 0

Warning: svcreg.probe_interval: "1.5s" is not a duration such as 500ms, 2s or 1m; the default is used in Unknown on line 0

Warning: svcreg.hang_timeout: "10 s" is not a duration such as 500ms, 2s or 1m; the default is used in Unknown on line 0

Warning: svcreg.drain_quiet: "" is not a duration such as 500ms, 2s or 1m; the default is used in Unknown on line 0

Warning: svcreg.drain_probers: "7x" is not a duration such as 500ms, 2s or 1m; the default is used in Unknown on line 0

Warning: svcreg.drain_timeout: "99999999999999999999" is not a duration such as 500ms, 2s or 1m; the default is used in Unknown on line 0

Warning: svcreg.log_level: "loud" is not one of debug|notice|warning|error; the default is used in Unknown on line 0
consul=auto
ttl=1500ms
heartbeat=500ms
drain_timeout=25s
ready=auto
log_level=notice
weight=0
