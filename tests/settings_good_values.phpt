--TEST--
every form of a duration, an address and a choice is taken without a word
--EXTENSIONS--
svcreg
--INI--
display_startup_errors=1
svcreg.consul=unix:///run/consul.sock
svcreg.ttl=2
svcreg.heartbeat=250ms
svcreg.deregister_after=1h
svcreg.drain_timeout=1m
svcreg.drain_quiet=0
svcreg.ready=manual
svcreg.log_level=debug
svcreg.weight=65535
--FILE--
<?php echo ini_get('svcreg.ttl'), ' ', ini_get('svcreg.ready'), "\n"; ?>
--EXPECT--
2 manual
