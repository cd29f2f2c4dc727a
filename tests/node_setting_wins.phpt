--TEST--
svcreg.node is preferred to the environment
--EXTENSIONS--
svcreg
--INI--
svcreg.node=node-from-ini
--ENV--
SVCREG_NODE=node-from-env
--FILE--
<?php echo svcreg_node(), "\n"; ?>
--EXPECT--
node-from-ini
