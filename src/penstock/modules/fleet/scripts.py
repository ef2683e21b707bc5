"""What Redis does for the fleet, in its own language: each script is one step that nobody sees half of.

Keys, all with one tag in braces, so that a cluster has them in one slot:

    {penstock:NAME}         hash: `id` of the generation, `sure` (from when on its counts are complete), `last` renewal
    {penstock:NAME}:l       sorted set: leases (`node:worker`) by their end, in Redis's milliseconds
    {penstock:NAME}:l:ID    hash: what one lease holds, digest -> count, and `g`, the generation it was told to
    {penstock:NAME}:t       hash: the sums of all leases, digest -> count
    {penstock:NAME}:r:...   a bucket of a rate: when it will be empty, in microseconds
    {penstock:NAME}:s:...   a session: what stands for the server that has it
    {penstock:NAME}:q:...   what a key has used of a quota in one period
    {penstock:NAME}:d       when the next tunnel may be drained; :d:who  the node whose turn it is

A sum and its parts change together or not at all. What takes them apart (a flush, an eviction, a server that came back
with old data) shows in the generation: a lease that was told to another one counts as unknown, and its worker tells the
truth anew. Until everybody had the time to do so the counts are a lower bound: `sure` is in the future.

All scripts are called with the same four keys. What they are told is packed: little-endian, digests of 16 bytes.
"""

from __future__ import annotations

from hashlib import sha1

from penstock.net.redis.replies import command

_CLOCK = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local base, leases, own, sums = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
"""

_REAP = """
local function sum(digest, change)
    local left = redis.call('HINCRBY', sums, digest, change)
    if left <= 0 then redis.call('HDEL', sums, digest) end
end
local function reap(id, most)
    local hash = leases .. ':' .. id
    local told = redis.call('HGET', hash, 'g')
    if not told then
        -- Evicted: what it held is still in the sums, and nobody knows what that was. All have to tell anew.
        redis.call('DEL', base)
        redis.call('ZREM', leases, id)
        return
    end
    local known = redis.call('HGET', base, 'id')
    if told ~= known and told ~= '-' .. (known or '') then
        redis.call('DEL', hash)
        redis.call('ZREM', leases, id)
        return
    end
    redis.call('HSET', hash, 'g', '-' .. known)
    local cursor, taken = '0', 0
    repeat
        local found = redis.call('HSCAN', hash, cursor, 'COUNT', 100)
        cursor = found[1]
        for at = 1, #found[2], 2 do
            local digest = found[2][at]
            if #digest == 16 then
                sum(digest, -tonumber(found[2][at + 1]))
                redis.call('HDEL', hash, digest)
                taken = taken + 1
            end
        end
    until cursor == '0' or taken >= most
    if redis.call('HLEN', hash) == 1 then
        redis.call('DEL', hash)
        redis.call('ZREM', leases, id)
    end
end
local function reap_dead(most)
    local dead = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 1)
    if dead[1] and leases .. ':' .. dead[1] ~= own then reap(dead[1], most) end
end
"""

_LEAVE = """
local function leave(digests)
    for at = 1, #digests, 16 do
        local digest = string.sub(digests, at, at + 15)
        local held = tonumber(redis.call('HGET', own, digest) or 0)
        if held > 0 then
            if held == 1 then redis.call('HDEL', own, digest) else redis.call('HINCRBY', own, digest, -1) end
            sum(digest, -1)
        end
    end
end
"""

ENTER = (
    _CLOCK
    + _REAP
    + _LEAVE
    + """
local known = redis.call('HMGET', base, 'id', 'sure')
if not known[1] or redis.call('HGET', own, 'g') ~= known[1] then return {-1} end
local sure = tonumber(known[2]) <= now
leave(ARGV[2])
reap_dead(50)
local packed = ARGV[1]
local places, rates, at = struct.unpack('<I1I1', packed)
local first = at
local dead
local verdict = {sure and 1 or 0}
for number = 1, places do
    local digest, most
    digest, most, at = struct.unpack('<c16I4', packed, at)
    local held = tonumber(redis.call('HGET', sums, digest) or 0)
    if held >= most then
        dead = dead or redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 64)
        for _, id in ipairs(dead) do
            if leases .. ':' .. id ~= own then
                held = held - tonumber(redis.call('HGET', leases .. ':' .. id, digest) or 0)
            end
        end
        if held >= most then return {2, number - 1, held} end
    end
end
local after = at
local micro = time[1] * 1000000 + time[2]
local ends = {}
for number = 1, rates do
    local digest, interval, burst
    digest, interval, burst, at = struct.unpack('<c16dd', packed, at)
    local key = base .. ':r:' .. digest
    local empty = tonumber(redis.call('GET', key) or 0)
    if empty < micro or empty > micro + interval * (burst / 1000 + 2) then empty = micro end
    local excess = math.floor((empty - micro) / interval * 1000)
    if excess > burst then return {3, number - 1, excess} end
    verdict[#verdict + 1] = excess
    ends[number] = {key, empty + interval}
end
if sure then
    at = first
    for number = 1, places do
        local digest, most
        digest, most, at = struct.unpack('<c16I4', packed, at)
        redis.call('HINCRBY', own, digest, 1)
        redis.call('HINCRBY', sums, digest, 1)
    end
end
for _, each in ipairs(ends) do
    redis.call('SET', each[1], string.format('%.0f', each[2]), 'PX', math.ceil((each[2] - micro) / 1000) + 1)
end
return verdict
"""
)
"""Places and rates for one request: all of them or none. Told are how many of each, then digest and most of each place,
then digest, microseconds between two requests and burst (thousandths) of each rate. The second argument are digests of
places that have been left, one after the other: they are free before anything is looked at.

Answers [-1]: this lease is not known; [2, place, held]: no place; [3, rate, excess]: too fast; [1, excess...]: granted;
[0, excess...]: rates are granted, but not all have told what they hold, so that no places were taken."""

LEAVE_PLACES = (
    _CLOCK
    + _REAP
    + _LEAVE
    + """
local id = redis.call('HGET', base, 'id')
if not id or redis.call('HGET', own, 'g') ~= id then return {-1} end
leave(ARGV[1])
return {1}
"""
)
"""Places that are left: their digests, one after the other. Answers [-1] where this lease is not known, or [1]."""

RENEW = (
    _CLOCK
    + _REAP
    + """
local lease, flags, fresh, at = struct.unpack('<I4I1c16', ARGV[1])
local id = ARGV[2]
local known = redis.call('HMGET', base, 'id', 'last')
local last = tonumber(known[2] or 0)
local told = redis.call('HGET', own, 'g')
-- A pause of all, a clock that jumped, or something that was evicted: what the sums say is not to be trusted.
if not known[1] or now > last + 2 * lease or now < last - lease
        or (not told and redis.call('ZSCORE', leases, id))
        or (told == known[1] and redis.call('HLEN', own) > 1 and redis.call('EXISTS', sums) == 0) then
    redis.call('DEL', sums)
    redis.call('HSET', base, 'id', fresh, 'sure', now + lease / 2)
    known[1] = fresh
end
redis.call('HSET', base, 'last', now)
if flags >= 2 then
    if told == known[1] or told == '-' .. known[1] then reap(id, math.huge) else redis.call('DEL', own) end
    redis.call('HSET', own, 'g', known[1])
    if flags == 3 and tonumber(redis.call('HGET', base, 'sure')) < now + lease / 2 then
        redis.call('HSET', base, 'sure', now + lease / 2)
    end
elseif told ~= known[1] then
    return {-1}
end
redis.call('ZADD', leases, now + lease, id)
reap_dead(500)
if redis.call('HGET', base, 'id') ~= known[1] then return {-1} end
while at <= #ARGV[1] do
    local digest, count
    digest, count, at = struct.unpack('<c16I4', ARGV[1], at)
    local before = tonumber(redis.call('HGET', own, digest) or 0)
    if count ~= before then
        if count == 0 then redis.call('HDEL', own, digest) else redis.call('HSET', own, digest, count) end
        sum(digest, count - before)
    end
end
for _, key in ipairs({base, leases, own, sums}) do redis.call('PEXPIRE', key, 20 * lease) end
return {1, tonumber(redis.call('HGET', base, 'sure')) <= now and 1 or 0,
    redis.call('ZRANGEBYSCORE', leases, now, '+inf', 'LIMIT', 0, 4096)}
"""
)
"""Life for another lease (milliseconds), and the truth about some digests. Flags: 0 renews; 1 tells more of the truth;
2 begins to tell all of it; 3 likewise, and casts doubt on what others have told (another server, perhaps an old copy).
`fresh` names a new generation, should there have to be one. Answers [-1] where all is to be told, or [1, sure, leases].
"""

GO = (
    _CLOCK
    + _REAP
    + """
if redis.call('EXISTS', own) == 1 then reap(ARGV[2], math.huge) end
redis.call('ZREM', leases, ARGV[2])
return {1}
"""
)
"""The end of a lease: all it holds is free at once."""

DRAIN = (
    _CLOCK
    + """
local interval, most, one, at = struct.unpack('<dI4I1', ARGV[1])
local node = string.match(ARGV[2], '^[^:]*')
if one == 1 then
    local who = redis.call('GET', base .. ':d:who')
    if who and who ~= node then return {2} end
    redis.call('SET', base .. ':d:who', node, 'PX', 3000)
end
local micro = time[1] * 1000000 + time[2]
local key = base .. ':d'
local next = tonumber(redis.call('GET', key) or 0)
if next < micro or next > micro + 10000000 then next = micro end
local room = math.floor((micro + 1000000 - next) / interval)
local granted = math.max(0, math.min(most, room))
if granted > 0 then
    redis.call('SET', key, string.format('%.0f', next + granted * interval), 'PX', 11000)
end
return {1, granted, math.floor(next - micro)}
"""
)
"""Moments for tunnels that are to be drained. Told are the microseconds between two of them, how many are wanted, and
whether only one machine may drain at a time. Answers [2]: it is another one's turn; [1, count, wait]: so many moments,
the first one in so many microseconds. Nobody gets any that are more than a second ahead."""

USE = (
    _CLOCK
    + """
local at = 1
local told = {1}
while at <= #ARGV[1] do
    local digest, period, window, used, more
    digest, period, window, used, more, at = struct.unpack('<c16I4I4dd', ARGV[1], at)
    local current = math.floor(time[1] / period)
    local key = base .. ':q:' .. digest .. current
    local before = tonumber(redis.call('GET', key) or 0)
    -- It has forgotten, if it knows less than it has told before.
    if window ~= current or used < before then used = before end
    used = used + more
    if used > before then
        redis.call('SET', key, string.format('%.0f', used), 'EX', (current + 1) * period - time[1] + 60)
    end
    told[#told + 1] = current
    told[#told + 1] = used
end
return told
"""
)
"""What keys have used of quotas. Told are, for each, the digest of key and unit, the length of the period (seconds),
the number of the last period that was answered and what was used in it, and how much more that is now. Answers [1],
then the number of the present period and what was used in it, for each."""


class Script:
    """A script and its digest, by which Redis knows it."""

    __slots__ = ("name", "sha", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text.encode("ascii")
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode("ascii")

    def load(self) -> bytes:
        """Write the command that makes Redis know it."""
        return command(b"SCRIPT", b"LOAD", self.text)

    def head(self, keys: list[bytes], more: int = 1) -> bytes:
        """Write all of the call that is the same each time: what follows is `more` arguments."""
        return b"*%d\r\n" % (3 + len(keys) + more) + command(b"EVALSHA", self.sha, b"%d" % len(keys), *keys).split(
            b"\r\n", 1
        )[1]


enter = Script("enter", ENTER)
leave_places = Script("leave places", LEAVE_PLACES)
renew = Script("renew", RENEW)
go = Script("go", GO)
drain = Script("drain", DRAIN)
use = Script("use", USE)
ALL = (enter, leave_places, renew, go, drain, use)
look = Script("look", "")
"""No script but MGET, of one key, which is what it is told: of a script Redis remembers the keys that were named, not
those that it read (`CLIENT TRACKING`)."""
