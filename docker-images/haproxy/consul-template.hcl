# Renders the member list, and has it taken over: the image's command tells HAProxy through its runtime API, without a reload.

consul {
  # Any error ends consul-template, and follow-consul starts it again: only a new process asks without the index of
  # its last answer, which a Consul that lost its data may have reached anew.
  retry {
    enabled = false
  }
  transport {
    dial_timeout    = "2s"
    dial_keep_alive = "1s"
  }
}

block_query_wait = "2s"
max_stale        = "0s" # only the leader is asked: followers are late
log_level        = "err"

template {
  source      = "/usr/share/svcreg-haproxy/members.ctmpl"
  destination = "/var/lib/svcreg-haproxy/members"
  perms       = 0644
  command     = ["/usr/local/bin/svcreg-haproxy", "sync"]
}
