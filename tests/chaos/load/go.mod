module svcreg.dev/chaos/load

go 1.19
