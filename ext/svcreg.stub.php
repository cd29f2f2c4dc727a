<?php

/** @generate-class-entries */

/** Says that the caller's pool may get traffic; takes back svcreg_unready(). False outside PHP-FPM. */
function svcreg_ready(): bool {}

/** Holds the caller's pool back ("starting", with this reason) until svcreg_ready(). False outside PHP-FPM. */
function svcreg_unready(string $reason): bool {}

/** What fpm-health says of this node: the array of /status. Empty outside PHP-FPM. */
function svcreg_status(): array {}

/** This node's name, as it stands in Consul. */
function svcreg_node(): string {}

/** The name of the pool that runs this script; null outside PHP-FPM. */
function svcreg_pool(): ?string {}
