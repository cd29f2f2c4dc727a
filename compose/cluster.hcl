# What the servers and the agents of the cluster variant have in common.

# A host that falls silent is out of the members after 1.0 to 2.0 s; with Consul's own settings for a LAN after 5 to 6 s.
gossip_lan {
  probe_interval = "200ms"
  probe_timeout  = "100ms"
  suspicion_mult = 4
}

disable_update_check = true

# An agent that leaves need not go on answering: nobody asks it but its own host, whose PHP-FPM has ended before.
performance {
  raft_multiplier  = 1
  leave_drain_time = "0s"

  # An agent holds a heartbeat for as long as the servers elect a leader; with the default of 7 s a TTL of 1.5 s would run out.
  rpc_hold_timeout = "500ms"
}
