--TEST--
outside FPM every function answers, warns of nothing, and changes nothing
--EXTENSIONS--
svcreg
--ENV--
SVCREG_NODE=node-from-env
--FILE--
<?php
var_dump(svcreg_ready(), svcreg_unready('cold cache'), svcreg_status(), svcreg_pool(), svcreg_node());
?>
--EXPECT--
bool(false)
bool(false)
array(0) {
}
NULL
string(13) "node-from-env"
