disable_update_check = true

performance {
  raft_multiplier  = 1
  leave_drain_time = "0s"
}
