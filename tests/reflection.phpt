--TEST--
the functions have the documented signatures
--EXTENSIONS--
svcreg
--FILE--
<?php
foreach ((new ReflectionExtension('svcreg'))->getFunctions() as $f) {
    $parameters = array_map(fn($p) => $p->getType() . ' $' . $p->getName(), $f->getParameters());
    printf("%s(%s): %s\n", $f->getName(), implode(', ', $parameters), $f->getReturnType());
}
try {
    svcreg_unready();
} catch (ArgumentCountError $e) {
    echo $e->getMessage(), "\n";
}
var_dump(phpversion('svcreg') === trim(file_get_contents(__DIR__ . '/../VERSION')));
?>
--EXPECT--
svcreg_ready(): bool
svcreg_unready(string $reason): bool
svcreg_status(): array
svcreg_node(): string
svcreg_pool(): ?string
svcreg_unready() expects exactly 1 argument, 0 given
bool(true)
