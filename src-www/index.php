<?php
// The page of the stack: who answered, how that node stands in Consul, and how requests spread over the nodes.
// One file, no dependency. It runs with or without svcreg.so, phpredis and redis, and says what is missing.
//
//   ?plain      the node's name and a newline: for scripts and load generators; asks neither redis nor Consul
//   ?json       everything on the page, as JSON
//   ?sleep=MS   answer after MS milliseconds; goes with the two above
declare(strict_types=1);

const SLEEP_MAX_MS = 10_000;
const REDIS_TIMEOUT_S = 0.2; // for connecting, and again for each answer: without redis the page stays quick
const WINDOW_S = 300;        // hits per node are counted in windows: the current and the previous one are shown
const QUIET_S = 30;          // a node that answered nobody for so long is shown as silent
const WORKERS_DRAWN_MAX = 64;

// state of the node => what Consul's catalog calls it
const CONSUL_STATUS = ['healthy' => 'passing', 'degraded' => 'warning'];

final class BadRequest extends Exception
{
}

function e(string|int|float|null $text): string
{
    return htmlspecialchars((string) $text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

function env(string $name, string $default): string
{
    $value = getenv($name);
    return $value === false || $value === '' ? $default : $value;
}

/** 95 → "1 min 35 s": two units at most. */
function duration(int $seconds): string
{
    $parts = [];
    foreach (['d' => 86400, 'h' => 3600, 'min' => 60, 's' => 1] as $unit => $length) {
        if ($seconds >= $length || ($unit === 's' && $parts === [])) {
            $parts[] = intdiv($seconds, $length) . " $unit";
            $seconds %= $length;
        }
    }
    return implode(' ', array_slice($parts, 0, 2));
}

function slept_ms(): int
{
    if (!isset($_GET['sleep'])) {
        return 0;
    }
    $value = $_GET['sleep'];
    if (!is_string($value) || !preg_match('/^\d{1,5}$/D', $value) || (int) $value > SLEEP_MAX_MS) {
        throw new BadRequest('sleep wants whole milliseconds, 0 to ' . SLEEP_MAX_MS . ': ?sleep=250');
    }
    usleep(1000 * (int) $value);
    return (int) $value;
}

/** This worker as FPM's scoreboard has it; under another SAPI only its pid. */
function worker(): array
{
    $worker = ['pid' => getmypid(), 'requests' => null, 'uptime_s' => null];
    $procs = function_exists('fpm_get_status') ? (fpm_get_status()['procs'] ?? []) : [];
    foreach ($procs as $proc) {
        if ($proc['pid'] === $worker['pid']) {
            return [...$worker, 'requests' => $proc['requests'], 'uptime_s' => $proc['start-since']];
        }
    }
    return $worker;
}

/** Counts this hit and reads everybody's, in one round trip. */
function hits(string $node): array
{
    $host = env('REDIS_HOST', 'redis');
    $port = (int) env('REDIS_PORT', '6379');
    $redis = ['address' => "$host:$port", 'error' => null, 'total' => null, 'since' => null, 'nodes' => []];
    if (!class_exists(Redis::class)) {
        return [...$redis, 'error' => 'PHP has no redis extension here'];
    }
    $now = time();
    $window = intdiv($now, WINDOW_S);
    try {
        $client = new Redis();
        if (!@$client->connect($host, $port, REDIS_TIMEOUT_S, null, 0, REDIS_TIMEOUT_S)) {
            throw new RedisException('no connection');
        }
        $pipe = $client->pipeline();
        $pipe->incr('svcreg:hits');
        $pipe->hIncrBy("svcreg:hits:$window", $node, 1);
        $pipe->hSet("svcreg:seen:$window", $node, (string) $now);
        foreach (['hits', 'seen'] as $what) {
            $pipe->expire("svcreg:$what:$window", 2 * WINDOW_S);
            $pipe->hGetAll("svcreg:$what:" . ($window - 1));
            $pipe->hGetAll("svcreg:$what:$window");
        }
        $answers = $pipe->exec();
        if (!is_array($answers) || in_array(false, $answers, true)) {
            throw new RedisException($client->getLastError() ?? 'no answer');
        }
    } catch (RedisException $ex) {
        return [...$redis, 'error' => $ex->getMessage()];
    }
    [$total, , , , $hits_before, $hits_now, , $seen_before, $seen_now] = $answers;
    $seen = $seen_now + $seen_before;
    ksort($seen, SORT_NATURAL);
    foreach ($seen as $name => $at) {
        $count = (int) ($hits_before[$name] ?? 0) + (int) ($hits_now[$name] ?? 0);
        $redis['nodes'][] = ['name' => (string) $name, 'hits' => $count, 'seen_s' => max(0, $now - (int) $at)];
    }
    return [...$redis, 'total' => $total, 'since' => ($window - 1) * WINDOW_S];
}

/** Everything there is to say: what ?json prints and the page draws. */
function snapshot(string $node, int $slept_ms): array
{
    return [
        'node' => $node,
        'pool' => function_exists('svcreg_pool') ? svcreg_pool() : null,
        'worker' => worker(),
        'php' => ['version' => PHP_VERSION, 'sapi' => PHP_SAPI],
        'svcreg' => function_exists('svcreg_status') ? (svcreg_status() ?: null) : null,
        'redis' => hits($node),
        'request' => [
            'method' => $_SERVER['REQUEST_METHOD'],
            'body_bytes' => strlen((string) file_get_contents('php://input')),
            'slept_ms' => $slept_ms,
        ],
        'time' => time(),
    ];
}

function answer(int $code, string $type, string $body): never
{
    http_response_code($code);
    header("Content-Type: $type; charset=utf-8");
    echo $body;
    exit;
}

header('Cache-Control: no-store');
header('X-Content-Type-Options: nosniff');
header('Referrer-Policy: no-referrer');
header_remove('X-Powered-By');

$node = function_exists('svcreg_node') ? svcreg_node() : env('SVCREG_NODE', (string) gethostname());
$path = strtok($_SERVER['REQUEST_URI'] ?? '/', '?');
$code = 200;
$problem = null;
$slept_ms = 0;
try {
    if (!in_array($path, ['/', '/index.php'], true)) {
        $code = 404;
        $problem = 'There is only one page here, and it is not at this address.';
    } else {
        $slept_ms = slept_ms();
    }
} catch (BadRequest $ex) {
    $code = 400;
    $problem = $ex->getMessage();
}

if (isset($_GET['plain'])) {
    answer($code, 'text/plain', ($problem ?? $node) . "\n");
}
if (isset($_GET['json'])) {
    $all = $problem === null ? snapshot($node, $slept_ms) : ['error' => $problem];
    $flags = JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE;
    answer($code, 'application/json', json_encode($all, $flags | JSON_THROW_ON_ERROR) . "\n");
}

$nonce = base64_encode(random_bytes(12));
header("Content-Security-Policy: default-src 'none'; style-src 'nonce-$nonce'; script-src 'nonce-$nonce'; "
    . "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
http_response_code($code);
header('Content-Type: text/html; charset=utf-8');

if ($problem === null) {
    $all = snapshot($node, $slept_ms);
    ['worker' => $worker, 'svcreg' => $svcreg, 'redis' => $redis] = $all;
    $pool = null;
    foreach ($svcreg['pools'] ?? [] as $candidate) {
        if ($candidate['name'] === $all['pool']) {
            $pool = $candidate;
        }
    }
    $state = $pool['state'] ?? 'unknown';
    $most = max([1, ...array_column($redis['nodes'], 'hits')]);
    $percent = fn (float $hits): string => round(96 * $hits / $most, 2) . '%'; // the longest bar leaves a little room
    $even = $percent(array_sum(array_column($redis['nodes'], 'hits')) / max(1, count($redis['nodes'])));
}
?>
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title><?= e($problem === null ? $node : "$code · $node") ?></title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='%233457d5' d='M1 2h14v3H1zM1 6.5h9v3H1zM1 11h12v3H1z'/%3E%3C/svg%3E">
<style nonce="<?= $nonce ?>">
:root {
    color-scheme: light dark;
    --paper: #f3f5f8; --card: #fff; --ink: #14181f; --soft: #59636f; --line: #dce1e8; --lane: #e7ebf1;
    --accent: #3457d5; --other: #a3afc2; --good: #12794a; --warn: #945a00; --bad: #c0271b;
    --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
    --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
    :root {
        --paper: #0e1218; --card: #161b23; --ink: #e8ecf2; --soft: #98a3b3; --line: #272e39; --lane: #222935;
        --accent: #86a1ff; --other: #525e72; --good: #4cc38a; --warn: #e5ab4d; --bad: #ff7a6b;
    }
}
* { box-sizing: border-box; margin: 0; }
body {
    max-width: 68rem; margin: 0 auto; padding: clamp(1rem, 4vw, 3rem);
    background: var(--paper); color: var(--ink); font: 1rem/1.5 var(--sans); font-variant-numeric: tabular-nums;
}
header, footer { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; color: var(--soft); font-size: .875rem; }
header { justify-content: space-between; }
header b { color: var(--ink); font-weight: 650; }
a { color: inherit; text-underline-offset: .2em; text-decoration-color: var(--other); }
a:hover { color: var(--accent); text-decoration-color: currentColor; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; }
h1 {
    font: 600 clamp(2rem, 7.5vw, 4.25rem)/1.08 var(--mono); letter-spacing: -.035em;
    overflow-wrap: anywhere; margin: .15em 0 .3em;
}
h2 { font-size: 1rem; font-weight: 650; }
.hero { padding: clamp(1.5rem, 3.5vw, 2.5rem) 0 clamp(1.25rem, 3vw, 2rem); }
.hero p { color: var(--soft); }
.hero .facts { display: flex; flex-wrap: wrap; align-items: center; gap: .35rem 1.25rem; }
.hero strong { color: var(--ink); font-weight: 600; }
.state {
    display: inline-flex; align-items: center; gap: .5em; padding: .1em .8em .12em .65em;
    border: 1px solid; border-radius: 2em; color: var(--soft); font-weight: 600;
}
.state::before { content: ""; width: .55em; height: .55em; border-radius: 50%; background: currentColor; }
.healthy { color: var(--good); }
.degraded, .starting { color: var(--warn); }
.draining, .maintenance, .down { color: var(--bad); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: 1rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1.25rem 1.4rem 1.4rem; }
.wide { grid-column: 1 / -1; }
.head { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: baseline; gap: 0 1rem; }
.note { color: var(--soft); font-size: .875rem; }
.away { color: var(--bad); margin-top: .75rem; }
.total { margin-right: .2em; font: 600 2rem/1.2 var(--mono); letter-spacing: -.03em; }
.lanes { list-style: none; padding: 0; margin-top: 1rem; }
.lanes li {
    display: grid; grid-template-columns: minmax(0, 11rem) minmax(0, 1fr) 4.5rem; align-items: center;
    gap: 1rem; padding: .2rem 0; font-size: .9375rem;
}
.lanes .name { font-family: var(--mono); font-size: .875rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.lanes .hits { text-align: right; }
.lanes svg { display: block; width: 100%; height: 1.1rem; border-radius: .2rem; background: var(--lane); }
.lanes .bar { fill: var(--other); }
.lanes .even { stroke: var(--ink); stroke-width: 2; }
.lanes text { fill: var(--ink); font-size: .75rem; dominant-baseline: central; }
.lanes .me { font-weight: 650; color: var(--accent); }
.lanes .me .bar { fill: var(--accent); }
.lanes .quiet { color: var(--soft); }
.lanes .quiet .bar { opacity: .4; }
dl { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .3rem 1.25rem; margin-top: .75rem; font-size: .9375rem; }
dt { color: var(--soft); }
dd { overflow-wrap: anywhere; }
code { font: .9em var(--mono); }
.workers { display: flex; flex-wrap: wrap; gap: 3px; margin-top: .9rem; }
.workers i { width: .8rem; height: .8rem; border: 1px solid var(--other); border-radius: .15rem; }
.workers .idle { background: var(--lane); }
.workers .active { background: var(--accent); border-color: var(--accent); }
footer { margin-top: 2rem; }
@media (max-width: 36rem) {
    .lanes li { grid-template-columns: minmax(0, 1fr) auto; gap: .15rem 1rem; padding: .35rem 0; }
    .lanes svg { grid-area: 2 / 1 / 3 / 3; height: .6rem; }
    .lanes text { display: none; }
}
</style>
</head>
<body>
<main>
<header><b>svcreg</b><span id="live"><?= e(gmdate('H:i:s')) ?> UTC</span></header>
<?php if ($problem !== null): ?>
<section class="hero">
    <p><?= $code === 404 ? 'Not found' : 'Not understood' ?>, says</p>
    <h1><?= e($node) ?></h1>
    <p><strong><?= $code ?></strong> <?= e($problem) ?> <a href="/">To the page</a></p>
</section>
<?php else: ?>
<section class="hero">
    <p>Answered by</p>
    <h1><?= e($node) ?></h1>
    <p class="facts">
        <span class="state <?= e($state) ?>"><?= e($pool === null ? 'not registered' : $state) ?></span>
        <?php if ($all['pool'] !== null): ?><span>pool <strong><?= e($all['pool']) ?></strong></span><?php endif ?>
        <span>worker <strong><?= e($worker['pid']) ?></strong></span>
    </p>
</section>
<div class="cards">
<section class="card wide">
    <?php if ($redis['error'] === null): ?>
    <div class="head">
        <h2><span class="total"><?= e(number_format($redis['total'])) ?></span> <?= $redis['total'] === 1 ? 'hit' : 'hits' ?> on all nodes</h2>
        <p class="note">Each node since <?= e(gmdate('H:i', $redis['since'])) ?> UTC; the mark is an even share.</p>
    </div>
    <ul class="lanes">
        <?php foreach ($redis['nodes'] as $other): $quiet = $other['seen_s'] > QUIET_S ?>
        <li class="<?= $other['name'] === $node ? 'me' : ($quiet ? 'quiet' : '') ?>">
            <span class="name" title="<?= e($other['name']) ?>"><?= e($other['name']) ?></span>
            <svg role="img" aria-label="<?= e($other['hits']) ?> hits">
                <rect class="bar" height="100%" width="<?= $percent($other['hits']) ?>" />
                <line class="even" y2="100%" x1="<?= $even ?>" x2="<?= $even ?>" />
                <?php if ($quiet): ?><text x=".6em" y="50%">silent for <?= e(duration($other['seen_s'])) ?></text><?php endif ?>
            </svg>
            <span class="hits"><?= e(number_format($other['hits'])) ?></span>
        </li>
        <?php endforeach ?>
    </ul>
    <?php else: ?>
    <h2>Hits of all nodes</h2>
    <p class="away">redis is away, so nothing is counted just now.</p>
    <p class="note"><code><?= e($redis['address']) ?></code>: <?= e($redis['error']) ?></p>
    <?php endif ?>
</section>
<?php if ($svcreg === null): ?>
<section class="card">
    <h2>No svcreg here</h2>
    <p class="note"><?= function_exists('svcreg_status') ? 'The extension is loaded, but not at work' : 'The extension is not loaded' ?>
        in this PHP (<?= e(PHP_SAPI) ?>), so the node does not register itself with Consul.
        <code>extension=svcreg.so</code> in PHP-FPM's php.ini does it.</p>
</section>
<?php else: ?>
<section class="card">
    <h2>In Consul</h2>
    <dl>
        <?php if ($pool !== null): ?>
        <dt>State</dt><dd><?= e($state) ?><?= ($pool['reason'] ?? '') === '' ? '' : ': ' . e($pool['reason']) ?></dd>
        <dt>Check</dt><dd><?= empty($pool['registered']) ? 'not registered' : e(CONSUL_STATUS[$state] ?? 'critical') ?></dd>
        <dt>Service</dt><dd><code><?= e($pool['service'] ?? '') ?></code></dd>
        <dt>ID</dt><dd><code><?= str_replace(':', ':<wbr>', e($pool['service_id'] ?? '')) ?></code></dd>
        <?php endif ?>
        <dt>Agent</dt><dd><code><?= e($svcreg['consul']['url'] ?? '') ?></code> <?= e($svcreg['consul']['state'] ?? 'unknown') ?></dd>
        <?php if (($svcreg['consul']['error'] ?? '') !== ''): ?><dt>Error</dt><dd><?= e($svcreg['consul']['error']) ?></dd><?php endif ?>
    </dl>
</section>
<?php if ($pool !== null): ?>
<section class="card">
    <h2>Workers</h2>
    <?php $workers = ($pool['workers'] ?? []) + ['max' => 0, 'total' => 0, 'active' => 0, 'idle' => 0] ?>
    <p class="workers" aria-hidden="true">
        <?php for ($i = 0; $i < min($workers['max'], WORKERS_DRAWN_MAX); $i++): ?>
        <i class="<?= $i < $workers['active'] ? 'active' : ($i < $workers['total'] ? 'idle' : '') ?>"></i>
        <?php endfor ?>
    </p>
    <dl>
        <dt>Active</dt><dd><?= e($workers['active']) ?> of <?= e($workers['total']) ?>, at most <?= e($workers['max']) ?></dd>
        <dt>Queue</dt><dd><?= e($pool['queue']['length'] ?? 0) ?></dd>
        <dt>Weight</dt><dd><?= e($pool['weight'] ?? '') ?></dd>
        <dt>Requests</dt><dd><?= e(number_format($pool['requests'] ?? 0)) ?></dd>
    </dl>
</section>
<?php endif ?>
<?php endif ?>
<section class="card">
    <h2>This process</h2>
    <dl>
        <dt>PHP</dt><dd><?= e(PHP_VERSION) ?>, <?= e(PHP_SAPI) ?></dd>
        <?php if ($worker['requests'] !== null): ?>
        <dt>Worker</dt><dd>pid <?= e($worker['pid']) ?>, up <?= e(duration($worker['uptime_s'])) ?></dd>
        <dt>Served</dt><dd><?= e(number_format($worker['requests'])) ?> requests and pings</dd>
        <?php endif ?>
        <?php if ($svcreg !== null): ?>
        <dt>Helper</dt><dd><?= empty($svcreg['helper']['pid']) ? 'away' : 'pid ' . e($svcreg['helper']['pid'])
            . ', up ' . e(duration((int) ($svcreg['helper']['uptime_s'] ?? 0))) ?></dd>
        <?php if (($svcreg['helper']['error'] ?? '') !== ''): ?><dt>Error</dt><dd><?= e($svcreg['helper']['error']) ?></dd><?php endif ?>
        <dt>svcreg</dt><dd><?= e($svcreg['version'] ?? '') ?></dd>
        <?php endif ?>
    </dl>
</section>
</div>
<?php endif ?>
</main>
<footer>
    <span>For scripts:</span>
    <a href="/?plain">?plain</a> <a href="/?json">?json</a> <a href="/?sleep=1000">?sleep=1000</a>
</footer>
<?php if ($problem === null): ?>
<script nonce="<?= $nonce ?>">
// Asks again every two seconds while somebody looks, and puts the answer in place: another node, most likely.
const again = async () => {
    if (!document.hidden) {
        try {
            const answer = await fetch(location.pathname, { signal: AbortSignal.timeout(10000) });
            if (!answer.ok) throw new Error(answer.status);
            const page = await answer.text();
            document.querySelector('main').outerHTML = page.slice(page.indexOf('<main>'), page.indexOf('</main>'));
            document.title = document.querySelector('h1').textContent;
        } catch (error) {
            document.querySelector('#live').textContent = `no answer (${error.message}), trying again`;
        }
    }
    setTimeout(again, 2000);
};
setTimeout(again, 2000);
</script>
<?php endif ?>
</body>
</html>
