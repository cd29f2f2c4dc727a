-- The member list: checks what consul-template rendered, says in which state each member is, and bridges the moment in
-- which Consul has lost its data. Pure: no I/O, and the clock is passed in.

local M = {}

-- The order in which two entries for one address are believed: after a ghost its address may have a new owner.
local RANK = { healthy = 1, degraded = 2, down = 3, starting = 4, draining = 5, maintenance = 6 }

local BY_STATUS = { passing = "healthy", warning = "degraded", maintenance = "maintenance" }

-- -> the state in svcreg's words, and whether the member was just registered and not heard of since
local function state_of(entry)
    local state = BY_STATUS[entry.status]
    if state then
        return state, false
    end
    if entry.ours and entry.word == "" then
        return "starting", true
    end
    if entry.ours and (entry.word == "starting" or entry.word == "draining" or entry.word == "maintenance") then
        return entry.word, false
    end
    return "down", false
end

local function is_address(text)
    return type(text) == "string" and (text:match("^%d+%.%d+%.%d+%.%d+$") or text:match("^%x*:[%x:.]+$")) ~= nil
end

local function is_port(number)
    return type(number) == "number" and number >= 1 and number <= 65535 and number % 1 == 0
end

-- How nginx writes the peer in $upstream_addr.
local function key_of(address, port)
    return (address:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(address, port)
end

-- document: the decoded list {service, members = {{id, node, address, port, weight, status, ours, word}}}
-- -> members {key, id, node, address, port, weight, state, ours, unheard}, what was left out and why (texts);
--    nil and the reason when the document is none, or is another service's
function M.parse(document, service)
    if type(document) ~= "table" or type(document.members) ~= "table" then
        return nil, "it is not a member list"
    end
    if document.service ~= service then
        return nil, ("it is the list of %s"):format(tostring(document.service))
    end

    local ours = false
    for _, entry in ipairs(document.members) do
        ours = ours or entry.ours == true
    end

    local members, place, left_out = {}, {}, {}
    for _, entry in ipairs(document.members) do
        if not is_address(entry.address) then
            left_out[#left_out + 1] = ("%s: %q is not an IP address"):format(tostring(entry.id), tostring(entry.address))
        elseif not is_port(entry.port) then
            left_out[#left_out + 1] = ("%s: port %s"):format(tostring(entry.id), tostring(entry.port))
        elseif ours and not entry.ours then
            left_out[#left_out + 1] = ("%s: plain HTTP among FastCGI members"):format(tostring(entry.id))
        else
            local state, unheard = state_of(entry)
            local member = {
                key = key_of(entry.address, entry.port),
                id = entry.id,
                node = entry.node,
                address = entry.address,
                port = entry.port,
                weight = math.max(1, tonumber(entry.weight) or 1),
                state = state,
                ours = ours,
                unheard = unheard,
            }
            local at = place[member.key]
            if not at then
                members[#members + 1] = member
                place[member.key] = #members
            elseif RANK[member.state] < RANK[members[at].state] then
                members[at] = member
            end
        end
    end
    return members, left_out
end

-- Whether Consul sends it traffic in ordinary times.
function M.serves(member)
    return member.state == "healthy" or member.state == "degraded"
end

-- Joins a fresh list to the one in force. One member that vanishes is gone; but when more than half of those that served
-- vanish at a stroke, or are suddenly as if never heard of, Consul has lost its data, not we the members: these are kept
-- as they were for `grace` seconds or until Consul has heard of them again. Calling it again with the same `fresh` later
-- drops what outlived its grace.
-- -> the members now in force (those kept carry `kept_until`), the earliest end of a grace or nil
function M.succeed(previous, fresh, now, grace)
    if fresh[1] and previous[1] and fresh[1].ours ~= previous[1].ours then
        return fresh, nil -- another service under the old name: it speaks another protocol
    end

    local successor = {}
    for _, member in ipairs(fresh) do
        successor[member.key] = member
    end

    local kept, lost, served = {}, {}, 0
    for _, member in ipairs(previous) do
        local known = successor[member.key] ~= nil and not successor[member.key].unheard
        if member.kept_until then
            if not known and now < member.kept_until then
                kept[member.key] = member
            end
        elseif M.serves(member) then
            served = served + 1
            if not known then
                lost[#lost + 1] = member
            end
        end
    end
    if #lost * 2 > served then
        for _, member in ipairs(lost) do
            member.kept_until = now + grace
            kept[member.key] = member
        end
    end

    local members, ends = {}, nil
    for _, member in ipairs(fresh) do
        if not kept[member.key] then
            members[#members + 1] = member
        end
    end
    for _, member in pairs(kept) do
        members[#members + 1] = member
        ends = math.min(ends or member.kept_until, member.kept_until)
    end
    return members, ends
end

return M
