-- Unit tests of the balancer's pure modules, run by test_nginx_unit.py in the image's own nginx, before it would serve.
-- Each function of `tests` is a test; each prints one line, "ok NAME" or "failed NAME: why".

local members = require("svcreg.members")
local pick = require("svcreg.pick")

local tests = {}

local function entry(id, change)
    local made = { id = id, node = "n", address = "10.0.0." .. id, port = 9000, weight = 1, status = "passing", ours = true, word = "healthy" }
    for name, value in pairs(change or {}) do
        made[name] = value
    end
    return made
end

local function parse(...)
    return members.parse({ service = "web", members = { ... } }, "web")
end

local function in_state(states)
    local entries = {}
    local how = {
        healthy = { "passing", "healthy" }, degraded = { "warning", "degraded" }, down = { "critical", "down" },
        draining = { "critical", "draining" }, starting = { "critical", "starting" }, maintenance = { "critical", "maintenance" },
        unheard = { "critical", "" },
    }
    for i, state in ipairs(states) do
        entries[i] = entry(i, { status = how[state][1], word = how[state][2] })
    end
    return parse(unpack(entries))
end

local function always(value)
    return function()
        return value
    end
end

-- n picks among these members -> {id = count}
local function spread(list, n, failing, tried)
    pick.seat(list, {}, always(0))
    local groups, count = pick.groups(list), {}
    for _ = 1, n do
        local member = pick.next(groups, tried or {}, failing or always(false))
        local id = member and member.id or "nobody"
        count[id] = (count[id] or 0) + 1
    end
    return count
end

local function equal(got, wanted, what)
    if got ~= wanted then
        error(("%s: got %s, wanted %s"):format(what or "value", tostring(got), tostring(wanted)), 2)
    end
end

local function equal_counts(got, wanted)
    for id, count in pairs(wanted) do
        equal(got[id], count, "picks of " .. id)
    end
    for id, count in pairs(got) do
        equal(count, wanted[id], "picks of " .. id)
    end
end

local function states(list)
    local words = {}
    for _, member in ipairs(list) do
        words[#words + 1] = member.id .. "=" .. member.state
    end
    table.sort(words)
    return table.concat(words, " ")
end

function tests.healthy_members_take_turns()
    equal_counts(spread(in_state({ "healthy", "healthy", "healthy" }), 30), { 10, 10, 10 })
end

function tests.weights_are_honoured_and_interleaved()
    local list = parse(entry(1, { weight = 5 }), entry(2, { weight = 1 }), entry(3, { weight = 1 }))
    pick.seat(list, {}, always(0))
    local groups, order = pick.groups(list), {}
    for i = 1, 7 do
        order[i] = pick.next(groups, {}, always(false)).id
    end
    equal(table.concat(order), "1121311")
end

function tests.degraded_get_nothing_while_half_are_healthy()
    equal_counts(spread(in_state({ "healthy", "healthy", "degraded", "degraded" }), 10), { 5, 5 })
end

function tests.degraded_take_part_when_fewer_than_half_are_healthy()
    equal_counts(spread(in_state({ "healthy", "degraded", "degraded" }), 9), { 3, 3, 3 })
end

function tests.degraded_serve_when_nobody_is_healthy()
    equal_counts(spread(in_state({ "degraded", "down" }), 4), { 4 })
end

function tests.down_is_the_last_resort()
    equal_counts(spread(in_state({ "down", "down", "draining" }), 4), { 2, 2 })
    equal_counts(spread(in_state({ "down", "healthy" }), 4), { [2] = 4 })
end

function tests.draining_maintenance_and_starting_get_nothing_at_all()
    local list = in_state({ "draining", "maintenance", "starting", "unheard" })
    equal_counts(spread(list, 3), { nobody = 3 })
    equal(pick.anyone(pick.groups(list), {}), false)
end

function tests.a_request_never_meets_the_same_member_twice()
    local list = in_state({ "healthy", "degraded", "down", "draining" })
    pick.seat(list, {}, always(0))
    local groups, tried, order = pick.groups(list), {}, {}
    while pick.anyone(groups, tried) do
        local member = pick.next(groups, tried, always(false))
        tried[member.key] = true
        order[#order + 1] = member.state
    end
    equal(#order, 3)
    equal(order[3], "down")
    equal(pick.next(groups, tried, always(false)), nil)
end

function tests.a_failing_member_is_left_out_unless_all_of_its_group_fail()
    local list = in_state({ "healthy", "healthy", "down" })
    equal_counts(spread(list, 4, function(member) return member.id == 1 end), { [2] = 4 })
    equal_counts(spread(list, 4, always(true)), { 2, 2 })
end

function tests.a_degraded_member_stands_in_for_failing_healthy_ones()
    local list = in_state({ "healthy", "healthy", "degraded" })
    equal_counts(spread(list, 4, function(member) return member.id ~= 3 end), { [3] = 4 })
end

function tests.a_list_change_does_not_start_the_round_anew()
    local list = in_state({ "healthy", "healthy" })
    pick.seat(list, {}, always(0))
    local first = pick.next(pick.groups(list), {}, always(false))
    local places = {}
    for _, member in ipairs(list) do
        places[member.key] = member
    end
    local again = in_state({ "healthy", "healthy" })
    pick.seat(again, places, always(0))
    equal(pick.next(pick.groups(again), {}, always(false)).id, 3 - first.id)
end

function tests.a_new_weight_scales_the_place_in_the_round()
    local list = parse(entry(1, { weight = 1 }))
    pick.seat(list, { [list[1].key] = { current = -50, weight = 100 } }, always(0))
    equal(list[1].current, -0.5)
end

function tests.states_of_foreign_services_come_from_their_checks()
    local list = parse(
        entry(1, { ours = false }),
        entry(2, { ours = false, status = "warning", word = "" }),
        entry(3, { ours = false, status = "critical", word = "" }),
        entry(4, { ours = false, status = "maintenance", word = "" })
    )
    equal(states(list), "1=healthy 2=degraded 3=down 4=maintenance")
end

function tests.a_dead_node_is_down_whatever_its_last_word()
    equal(states(parse(entry(1, { status = "critical", word = "healthy" }))), "1=down")
end

function tests.what_cannot_be_reached_is_left_out_by_name()
    local list, left_out = parse(entry(1), entry(2, { address = "db.example" }), entry(3, { port = 0 }), entry(4, { ours = false }))
    equal(states(list), "1=healthy")
    equal(table.concat(left_out, "; "), '2: "db.example" is not an IP address; 3: port 0; 4: plain HTTP among FastCGI members')
end

function tests.ipv6_members_are_named_as_nginx_names_them()
    equal(parse(entry(1, { address = "fd00::5" }))[1].key, "[fd00::5]:9000")
end

function tests.a_ghost_on_a_reused_address_does_not_hide_its_new_owner()
    local ghost = entry(1, { status = "critical", word = "down", address = "10.0.0.9" })
    equal(states(parse(ghost, entry(2, { address = "10.0.0.9" }))), "2=healthy")
    equal(states(parse(entry(2, { address = "10.0.0.9" }), ghost)), "2=healthy")
end

function tests.the_list_of_another_service_is_refused()
    local list, why = members.parse({ service = "old", members = {} }, "web")
    equal(list, nil)
    equal(why, "it is the list of old")
    equal(members.parse("nonsense", "web"), nil)
end

function tests.one_member_that_vanishes_is_gone_at_once()
    local before = in_state({ "healthy", "healthy", "healthy" })
    local list, ends = members.succeed(before, { before[1], before[2] }, 0, 10)
    equal(states(list), "1=healthy 2=healthy")
    equal(ends, nil)
end

function tests.drained_members_are_gone_at_once_however_many()
    local before = in_state({ "healthy", "draining", "draining", "draining" })
    equal(states((members.succeed(before, { before[1] }, 0, 10))), "1=healthy")
end

function tests.a_service_that_vanishes_at_a_stroke_is_kept_for_the_grace()
    local before = in_state({ "healthy", "degraded" })
    local list, ends = members.succeed(before, {}, 100, 10)
    equal(states(list), "1=healthy 2=degraded")
    equal(ends, 110)
    equal(states((members.succeed(list, {}, 109.9, 10))), "1=healthy 2=degraded")
    equal(states((members.succeed(list, {}, 110, 10))), "")
end

function tests.members_that_come_back_replace_those_kept()
    local before = in_state({ "healthy", "healthy", "healthy" })
    local kept = members.succeed(before, {}, 0, 10)
    local back = parse(entry(1, { status = "warning" }), entry(2, { status = "critical", word = "" }))
    local list, ends = members.succeed(kept, back, 1, 10)
    equal(states(list), "1=degraded 2=healthy 3=healthy")
    equal(ends, 10)
    list, ends = members.succeed(list, in_state({ "healthy", "healthy", "draining" }), 2, 10)
    equal(states(list), "1=healthy 2=healthy 3=draining")
    equal(ends, nil)
end

function tests.members_of_another_protocol_are_not_kept()
    local plain = parse(entry(7, { ours = false }))
    equal(states((members.succeed(in_state({ "healthy", "healthy" }), plain, 0, 10))), "7=healthy")
end

function tests.an_unheard_registration_of_most_is_a_loss_too()
    local before = in_state({ "healthy", "healthy" })
    equal(states((members.succeed(before, in_state({ "unheard", "unheard" }), 0, 10))), "1=healthy 2=healthy")
    equal(states((members.succeed(before, in_state({ "starting", "starting" }), 0, 10))), "1=starting 2=starting")
end

for name, test in pairs(tests) do
    local good, problem = pcall(test)
    io.stdout:write(good and "ok " .. name or ("failed %s: %s"):format(name, problem), "\n")
end
io.stdout:flush()
os.exit(0)
