<?php
// The page of the chaos laboratory: says who answered whom, and counts each POST in redis, so that one that was done twice is found.
//   ?id=ID      the request's own
//   ?sleep=MS   answer after so long
//   ?bytes=N    so many bytes of padding
//   ?eat=MB     take so much memory first
declare(strict_types=1);

const REDIS_TIMEOUT_S = 2.0;

$id = (string) ($_GET['id'] ?? 'none');
$length = strlen((string) file_get_contents('php://input'));
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $redis = new Redis();
    $redis->pconnect((string) getenv('REDIS_HOST'), 6379, REDIS_TIMEOUT_S);
    $redis->hIncrBy('chaos', $id, 1);
}
if (isset($_GET['eat'])) {
    ini_set('memory_limit', '-1');
    $eaten = str_repeat("\xff", (int) $_GET['eat'] << 20);
}
usleep(1000 * (int) ($_GET['sleep'] ?? 0));
$node = function_exists('svcreg_node') && svcreg_node() !== '' ? svcreg_node() : gethostname();
$text = "$node $id $length " . str_repeat('.', 1 + (int) ($_GET['bytes'] ?? 0)) . "\n";
header('Content-Type: text/plain');
header('Content-Length: ' . strlen($text));
echo $text;
