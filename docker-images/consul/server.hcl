# A lone server; `consul agent` flags and further files beside this one add to it.
server               = true
bootstrap_expect     = 1
data_dir             = "/var/lib/consul"
client_addr          = "0.0.0.0"
disable_update_check = true

ui_config {
  enabled = true
}

performance {
  raft_multiplier = 1
}

# A stopped server keeps its seat: the next start finds its data and goes on, also under another address.
leave_on_terminate = false
