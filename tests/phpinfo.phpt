--TEST--
phpinfo() says that svcreg is loaded and where it is active, and shows no token
--EXTENSIONS--
svcreg
--ENV--
CONSUL_HTTP_TOKEN=very-secret-token
--FILE--
<?php
ob_start();
phpinfo(INFO_MODULES);
$text = ob_get_clean();
preg_match('/svcreg support => enabled.*?active => [^\n]*/s', $text, $m);
echo preg_replace('/version => .*/', 'version => X', $m[0]), "\n";
var_dump(str_contains($text, 'very-secret-token'));
?>
--EXPECT--
svcreg support => enabled
version => X
active => no (only in PHP-FPM)
bool(false)
