-- The rim of the balancer, inside nginx: reads the list, names a peer for each try, remembers who failed.

local cjson = require("cjson.safe")
local ngx_balancer = require("ngx.balancer")
local members = require("svcreg.members")
local pick = require("svcreg.pick")

local M = {}

local LIST = "/var/lib/svcreg-nginx/members.json"
local POLL_S = 0.05
local FAIL_S = 2 -- so long a peer that failed is left alone, if there are others
local DRAIN_S = 30 -- so long one that said in an answer that it drains: as long as a drain lasts, and what runs then takes
local COUNT_S = 3600 -- so long its failures are counted
local MAX_TRIES = 10 -- peers that one request may try: a refused connect costs nothing
local MAX_SENT = 3 -- of them, those that got some of the request: more than that and the request is the culprit
-- Agents may look for servers that came back without data every 30 s only, and then take turns to tell them what they have.
local DEFAULT_GRACE_S = 120
local ANY = "any" -- in the shared memory: somebody is left alone
local FAILED, DRAINING = "failed", "draining" -- and there, by the peer's key: why
local NONE = {}

local service = os.getenv("SERVICE")
local grace_s = tonumber(os.getenv("NGINX_GRACE") or "") or DEFAULT_GRACE_S
local shared = ngx.shared.svcreg

-- What this worker knows. `fresh` is the list as rendered, `members` what is in force, see members.succeed().
local now = { text = nil, fresh = {}, members = {}, groups = pick.groups({}), grace_ends = nil }

-- Each worker has the list; one of them speaks.
local function say(level, ...)
    if ngx.worker.id() == 0 then
        ngx.log(level, "svcreg: ", ...)
    end
end

local function count_states(list)
    local count, kept = {}, 0
    for _, member in ipairs(list) do
        count[member.state] = (count[member.state] or 0) + 1
        kept = kept + (member.kept_until and 1 or 0)
    end
    local words = {}
    for _, state in ipairs({ "healthy", "degraded", "starting", "draining", "maintenance", "down" }) do
        if count[state] then
            words[#words + 1] = count[state] .. " " .. state
        end
    end
    local text = words[1] and table.concat(words, ", ") or "none"
    return kept == 0 and text or ("%s; Consul lost %d of them, kept for %g s"):format(text, kept, grace_s)
end

-- Leaves a peer alone for so many seconds, if there are others.
local function leave_alone(key, why, seconds)
    shared:set(key, why, seconds)
    if (shared:ttl(ANY) or 0) < seconds then
        shared:set(ANY, true, seconds)
    end
end

local function put_in_force()
    local list, grace_ends = members.succeed(now.members, now.fresh, ngx.now(), grace_s)
    local places = {}
    for _, member in ipairs(now.members) do
        places[member.key] = { current = member.current, weight = member.weight, serves = members.serves(member) }
    end
    for _, member in ipairs(list) do
        local before = places[member.key]
        if members.serves(member) and not (before and before.serves) and shared:get(member.key) == DRAINING then
            shared:delete(member.key) -- its drain is over, or another has its address now
        end
    end
    pick.seat(list, places, math.random)
    now.members, now.grace_ends = list, grace_ends
    now.groups = pick.groups(list)
    shared:set("list " .. ngx.worker.id(), ngx.crc32_short(now.text) .. (grace_ends and " and kept" or ""))
    say(ngx.NOTICE, "members of ", service, ": ", count_states(list))
end

-- Takes the list over if it changed. What cannot be parsed is said once, and the list in force stays.
local function load()
    local file = io.open(LIST, "r")
    local text = file and file:read("*a")
    if file then
        file:close()
    end
    if text and text ~= now.text then
        now.text = text
        local list, problem = members.parse(cjson.decode(text), service)
        if list then
            for _, reason in ipairs(problem) do
                say(ngx.WARN, "left out of ", service, ": ", reason)
            end
            now.fresh = list
            put_in_force()
        else
            say(ngx.ERR, LIST, " is not taken over: ", problem)
        end
    elseif now.grace_ends and ngx.now() >= now.grace_ends then
        put_in_force()
    end
end

-- init_worker: the list is there before the first request.
function M.start()
    math.randomseed(ngx.now() * 1000 + ngx.worker.pid())
    load()
    assert(ngx.timer.every(POLL_S, load))
end

local function failed(key)
    leave_alone(key, FAILED, FAIL_S)
    shared:incr("count " .. key, 1, 0, COUNT_S)
end

local function is_left_alone(member)
    return shared:get(member.key)
end

local function nobody()
    return false
end

-- rewrite: ours speak FastCGI, all others plain HTTP.
function M.route()
    if not pick.anyone(now.groups, NONE) then
        return ngx.exit(ngx.HTTP_SERVICE_UNAVAILABLE)
    end
    return ngx.exec(now.members[1].ours and "@fastcgi" or "@http")
end

-- Of the tries so far, those in which something was sent. nginx lists them as "0, 517, 0".
local function count_sent()
    local sent = 0
    for bytes in (ngx.var.upstream_bytes_sent or ""):gmatch("%d+") do
        sent = sent + (bytes ~= "0" and 1 or 0)
    end
    return sent
end

-- Whether another try may follow the one that begins now.
local function may_go_on(tried)
    return tried.count < MAX_TRIES
        and (tried.count == 1 or count_sent() < MAX_SENT - 1)
        and pick.anyone(now.groups, tried.keys)
end

-- balancer: called for each try. nginx decides whether a failed request may be repeated, this whether and where.
function M.balance()
    local ctx = ngx.ctx
    local tried = ctx.svcreg_tried
    if not tried then
        tried = { count = 0, keys = {} }
        ctx.svcreg_tried = tried
    elseif ngx_balancer.get_last_failure() then
        failed(tried.last)
    end

    local member = pick.next(now.groups, tried.keys, shared:get(ANY) and is_left_alone or nobody)
    if not member then
        return ngx.exit(ngx.ERROR)
    end
    tried.count, tried.last, tried.keys[member.key] = tried.count + 1, member.key, true
    if may_go_on(tried) then
        ngx_balancer.set_more_tries(1)
    end
    assert(ngx_balancer.set_current_peer(member.address, member.port))
end

-- header_filter: a member that drains says so in its answers, which is sooner than Consul does, and also while Consul is away.
-- One that no longer says it, asked because there was nobody else, serves again.
function M.heed()
    local key = (ngx.var.upstream_addr or ""):match("[^ ]+$")
    if not key then
        return
    elseif ngx.var.upstream_http_svcreg_state == "draining" then
        leave_alone(key, DRAINING, DRAIN_S)
    elseif shared:get(ANY) and shared:get(key) == DRAINING then
        shared:delete(key)
    end
end

-- log: the failure of the last try, of which the balancer is not told. Without a header time the status is nginx's own.
function M.log()
    local status = ngx.var.upstream_status
    if status and (status:sub(-3) == "502" or status:sub(-3) == "504") and ngx.var.upstream_header_time:sub(-1) == "-" then
        failed(ngx.var.upstream_addr:match("[^ ]+$"))
    end
end

-- Whether all workers have the same list in force: they look for it each on their own.
local function agreed()
    for id = 1, ngx.worker.count() - 1 do
        if shared:get("list " .. id) ~= shared:get("list 0") then
            return false
        end
    end
    return true
end

-- content: the balancer as this worker sees it; failures are those that any worker met.
function M.status()
    local rows = {}
    for i, member in ipairs(now.members) do
        rows[i] = cjson.encode({
            id = member.id,
            node = member.node,
            address = member.key,
            weight = member.weight,
            state = member.state,
            kept = member.kept_until ~= nil,
            failing = shared:get(member.key) == FAILED,
            draining = shared:get(member.key) == DRAINING,
            failures = shared:get("count " .. member.key) or 0,
        })
    end
    local head = cjson.encode({
        service = service,
        protocol = now.members[1] and (now.members[1].ours and "fastcgi" or "http") or cjson.null,
        serving = pick.anyone(now.groups, NONE),
        worker = ngx.worker.pid(),
        agreed = agreed(),
    })
    -- Put together by hand: this cjson writes an empty list as {}.
    ngx.say(head:sub(1, -2), ',"members":[', table.concat(rows, ","), "]}")
end

return M
