# Two files: the member list, which nginx reads by itself, and nginx.conf, for which nginx is told to reload.

consul {
  # Any error ends consul-template, and follow-consul starts it again: only a new process asks without the index of
  # its last answer. A Consul that came back without its data may have reached just that index anew, and consul-template
  # would take its answer for the old one.
  retry {
    enabled = false
  }
  transport {
    dial_timeout    = "2s"
    dial_keep_alive = "1s" # a Consul host that fell silent is noticed within seconds
  }
}

# A Consul whose index went back without an error (a snapshot was restored) holds a query with the old, higher index for as
# long as this: with the default new members would get no traffic for a minute.
block_query_wait = "2s"

# Only the leader is asked. A follower is late by 50 to 100 ms, and one that has just started by more: it answers from what it has read of
# its log. An old list is on disk.
max_stale = "0s"

log_level = "err"

# No `wait`: a change is rendered at once. Rendering is a rename, and costs nginx one read.
template {
  source      = "/usr/share/svcreg-nginx/members.json.ctmpl"
  destination = "/var/lib/svcreg-nginx/members.json"
  perms       = 0644
}

# Rendered again only when /etc/svcreg-nginx/server.conf changed. What nginx refuses is not loaded, and nginx serves on as before.
template {
  source      = "/usr/share/svcreg-nginx/nginx.conf.ctmpl"
  destination = "/tmp/svcreg-nginx/nginx.conf"
  perms       = 0644
  command     = ["/usr/local/bin/svcreg-nginx", "reload"]
}
