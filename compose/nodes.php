<?php
// What Consul and the nodes say of themselves. Run inside a web container (script/up does): php nodes.php [names]
//   names   the names of the passing nodes, one a line
//   table   name, address, state and requests of every node, for people
declare(strict_types=1);

const ANSWER_S = 2.0;

function get(string $url): mixed
{
    $context = stream_context_create(['http' => ['timeout' => ANSWER_S, 'ignore_errors' => true]]);
    $text = @file_get_contents($url, false, $context);
    return $text === false ? null : json_decode($text, true);
}

/** svcreg:<node>:<instance>:<pool> → node */
function node_of(array $entry): string
{
    return explode(':', $entry['Service']['ID'])[1] ?? $entry['Service']['ID'];
}

/** The check that svcreg pushes; its output begins with the state's name. */
function check_of(array $entry): array
{
    foreach ($entry['Checks'] as $check) {
        if ($check['CheckID'] === $entry['Service']['ID'] . ':ttl') {
            return $check;
        }
    }
    return ['Status' => 'none', 'Output' => ''];
}

/** A service without an address of its own has its host's. */
function address_of(array $entry): string
{
    return $entry['Service']['Address'] ?: $entry['Node']['Address'];
}

function requests_of(array $entry): string
{
    $status = get('http://' . address_of($entry) . ':9180/status');
    foreach ($status['pools'] ?? [] as $pool) {
        if ($pool['service_id'] === $entry['Service']['ID']) {
            return (string) $pool['requests'];
        }
    }
    return '-';
}

$consul = preg_replace('~^(?!https?://)~', 'http://', getenv('CONSUL_HTTP_ADDR') ?: '127.0.0.1:8500');
$entries = get("$consul/v1/health/service/" . rawurlencode(getenv('SERVICE_NAME') ?: 'web'));
if ($entries === null) {
    fwrite(STDERR, "Consul does not answer at $consul\n");
    exit(1);
}
usort($entries, fn ($a, $b) => node_of($a) <=> node_of($b));

if (($argv[1] ?? 'table') === 'names') {
    foreach ($entries as $entry) {
        if (check_of($entry)['Status'] === 'passing') {
            echo node_of($entry), "\n";
        }
    }
    exit;
}

$row = "%-16s %-22s %-12s %8s\n";
printf($row, 'NODE', 'ADDRESS', 'STATE', 'REQUESTS');
foreach ($entries as $entry) {
    $service = $entry['Service'];
    $state = strtok(check_of($entry)['Output'], ":\n ") ?: check_of($entry)['Status'];
    printf($row, node_of($entry), address_of($entry) . ":{$service['Port']}", $state, requests_of($entry));
}
