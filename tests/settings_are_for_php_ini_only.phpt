--TEST--
a script cannot change a setting
--EXTENSIONS--
svcreg
--FILE--
<?php var_dump(ini_set('svcreg.node', 'evil'), ini_set('svcreg.enabled', '0')); ?>
--EXPECT--
bool(false)
bool(false)
