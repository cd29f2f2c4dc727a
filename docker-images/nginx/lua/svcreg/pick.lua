-- Who gets the next request: smooth weighted round robin over those whose turn it is. Pure: no I/O, no clock.

local M = {}

-- The groups of tiers in the order in which they are asked: the healthy; the
-- degraded, as equals once fewer than half of all are healthy; as a last resort those that Consul calls critical.
-- Draining, maintenance and starting members are in none.
function M.groups(members)
    local healthy, degraded, down = {}, {}, {}
    for _, member in ipairs(members) do
        if member.state == "healthy" then
            healthy[#healthy + 1] = member
        elseif member.state == "degraded" then
            degraded[#degraded + 1] = member
        elseif member.state == "down" then
            down[#down + 1] = member
        end
    end
    if #healthy * 2 < #members then
        for _, member in ipairs(degraded) do
            healthy[#healthy + 1] = member
        end
        degraded = {}
    end
    return { { healthy, degraded }, { down } }
end

-- tried: keys of members that do not count any more -> whether anybody is left to ask
function M.anyone(groups, tried)
    for _, group in ipairs(groups) do
        for _, tier in ipairs(group) do
            for _, member in ipairs(tier) do
                if not tried[member.key] then
                    return true
                end
            end
        end
    end
    return false
end

-- Gives each member its place in the round: what it had before, scaled to its new weight, else a random one, so that
-- many workers and many nginx do not all begin with the same member.
-- places: key -> {current, weight} of the members before; random() gives 0..1
function M.seat(members, places, random)
    for _, member in ipairs(members) do
        local before = places[member.key]
        member.current = before and before.current * member.weight / before.weight or random() * member.weight
    end
end

-- The next in the round among those not barred: each gains its weight, the richest is taken and pays for all.
local function richest(tier, barred)
    local best, total = nil, 0
    for i = 1, #tier do
        local member = tier[i]
        if not barred(member) then
            member.current = member.current + member.weight
            total = total + member.weight
            if not best or member.current > best.current then
                best = member
            end
        end
    end
    if best then
        best.current = best.current - total
    end
    return best
end

-- tried: keys that had this request already, never asked again; failing(member): failed for somebody a moment ago, asked
-- only when the whole group has nobody else.
-- -> a member, or nil when nobody is left
function M.next(groups, tried, failing)
    local function was_tried(member)
        return tried[member.key]
    end
    local function tried_or_failing(member)
        return tried[member.key] or failing(member)
    end
    for _, group in ipairs(groups) do
        for _, barred in ipairs({ tried_or_failing, was_tried }) do
            for _, tier in ipairs(group) do
                local member = richest(tier, barred)
                if member then
                    return member
                end
            end
        end
    end
    return nil
end

return M
