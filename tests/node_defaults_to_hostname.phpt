--TEST--
without a setting the node is the host's name
--EXTENSIONS--
svcreg
--FILE--
<?php var_dump(svcreg_node() === gethostname()); ?>
--EXPECT--
bool(true)
