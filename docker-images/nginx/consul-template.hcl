# Two files: the member list, which nginx reads by itself, and nginx.conf, for which nginx is told to reload.

consul {
  # Any error ends consul-template, and the image's command starts it again: only a new process asks without the index of
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

# Servers without a leader still answer: an old list is better than none.
max_stale = "24h"

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
