"""The state machine of a candidate, and its steps: Lua scripts, each one atomic in Redis.

Redis runs a script completely or not at all, and runs nothing else meanwhile. So a worker can be
killed *between* two steps but never *within* one. This file explains why no data are lost then.

Keys, all below ``{environment}:{dgroup}:``

    {identifier}         string  the candidate's fingerprint: it is REGISTERED
    md5:{fingerprint}    string  the identifier under which that content is stored
    home:{fingerprint}   string  the identifier under which that content is about to be stored
    claims               hash    identifier -> the claim's token, deadline and content, if known
    outbox               hash    identifier -> the message that is still to be sent
    quarantine           set     the hashes of the bodies in quarantine (not part of the machine)
    archive              string  the id of the registry's archive (not part of the machine)

States of a candidate (the keys that exist), the worker that takes each step, and the effect of a kill

    FREE        nothing.
       | claim        a worker that wants to fetch it
    CLAIMED     a claim without content.
       |              killed here: nothing was stored. The lease expires; the next run frees it.
       | hold         the same worker, once it knows the content. If that content is stored already,
       |              the candidate becomes REGISTERED in the same step, as a duplicate.
    STORING     a claim with content; home names the one identifier this content may be stored under.
       |              killed here: the file is either complete or absent (the store ensures that).
       |              The next run reads the store. If the file is there, the run commits it in place
       |              of the dead worker (so the file is registered and announced). If it is not
       |              there, the run frees the candidate. If the store denies access, the claim
       |              stays for a later run that has access.
       | commit       the same worker, after the store has confirmed the file
    REGISTERED  identifier and md5; with Kafka, its message in the outbox, written in the same step.
       |              killed here: the message stays in the outbox; the next run sends it first.
       | sent         any worker that has the broker's acknowledgement
    ANNOUNCED   identifier and md5.

A claim is a lease with its own token. A worker that claims a candidate again while its first claim
lasts gets HELD, like any other worker. A worker renews its leases. The lease of a dead worker expires
by the clock of Redis, so the workers' clocks do not matter. A lease may also expire while its worker
is alive but suspended (a laptop lid, SIGSTOP). Then two workers may be at work on one candidate, but
nothing is filed twice, whatever the order of their steps:

- One file per candidate: the store itself accepts only the first (a link or a conditional put). The
  second worker finds that file and commits the content of *that* file.
- One file per content: home is set once, by the first worker with that content, and does not change
  while that content might still be put there. A later worker with the same content waits for the
  first one. If the first one is dead, the later worker stores the content under the same home.
- A commit states what is in the store. It is true whichever worker sends it, and a second one changes
  nothing, so it does not check who holds the claim. (An exception: if several runs force the same
  candidate at the same time, the last file and the last commit win.)

If the registry and the store differ, the store is right: a file is registered only after the store
has confirmed it.
"""

from __future__ import annotations

# Shared by the steps: the clock of Redis, in ms, and a claim's fields.
_COMMON = """
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function get_claim(claims, identifier)
  local text = redis.call('HGET', claims, identifier)
  return text and cjson.decode(text)
end
local function set_claim(claims, identifier, token, lease, fingerprint)
  redis.call('HSET', claims, identifier,
    cjson.encode({token = token, deadline = now() + lease, fingerprint = fingerprint}))
end
"""

# FREE -> CLAIMED. With "forced", a registered candidate can be claimed too. With "insisting", so can
# an abandoned one that could not be settled: its content stays in the claim and is not forgotten.
# A candidate is free again if its content is no longer stored (a forced run overwrote its file).
# A worker gets no claim if it does not have the id of the registry's archive: the registry was bound,
# or bound to another archive, after the worker had opened it.
# KEYS: identifier, claims. ARGV: identifier, token, lease in ms, forced, insisting, key prefix,
#       the id of the worker's archive or ''.
# -> {'foreign'} | {'registered'} | {'held'} | {'abandoned'}: settle it first | {'claimed'}
CLAIM = (
    _COMMON
    + """
local archive = redis.call('GET', ARGV[6] .. 'archive')
if archive and archive ~= ARGV[7] then return {'foreign'} end
local registered = redis.call('GET', KEYS[1])
if registered and ARGV[4] == '0' and redis.call('EXISTS', ARGV[6] .. 'md5:' .. registered) == 1 then
  return {'registered'}
end
local claim = get_claim(KEYS[2], ARGV[1])
if claim and claim.token ~= ARGV[2] then  -- the same token: the same call, sent again
  if claim.deadline > now() then return {'held'} end
  if claim.fingerprint and ARGV[5] == '0' then return {'abandoned'} end
end
set_claim(KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3]), claim and claim.fingerprint)
return {'claimed'}
"""
)

# CLAIMED -> STORING, or -> REGISTERED if the content is stored already.
# KEYS: identifier, md5:fingerprint, home:fingerprint, claims.
# ARGV: identifier, token, lease in ms, fingerprint, time to live in ms, forced, key prefix.
# -> {'lost'}: the lease expired and another worker has the candidate, or it is registered
#  | {'duplicate', identifier} | {'held', identifier}: another worker is storing this content
#  | {'store', identifier}: store it under this name, which may be that of a dead worker's candidate
HOLD = (
    _COMMON
    + """
local identifier, token, lease, fingerprint = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local claim = get_claim(KEYS[4], identifier)
if not claim or claim.token ~= token then return {'lost'} end
if ARGV[6] == '1' then
  set_claim(KEYS[4], identifier, token, lease, fingerprint)
  return {'store', identifier}
end
local stored = redis.call('GET', KEYS[2])
if stored then
  redis.call('SET', KEYS[1], fingerprint, 'PX', ARGV[5])
  redis.call('HDEL', KEYS[4], identifier)
  return {'duplicate', stored}
end
local home = redis.call('GET', KEYS[3]) or identifier
if home ~= identifier then
  local other = get_claim(KEYS[4], home)
  if other and other.token ~= token and other.deadline > now() then return {'held', home} end
  if redis.call('EXISTS', ARGV[7] .. home) == 1 then home = identifier end  -- taken by other content
end
redis.call('SET', KEYS[3], home, 'PX', ARGV[5])
set_claim(KEYS[4], home, token, lease, fingerprint)
return {'store', home}
"""
)

# STORING -> REGISTERED, with its message added to the outbox. If the content was stored under the name
# of a dead worker's candidate, the worker's own candidate is registered too.
# KEYS: home identifier, candidate's identifier, md5:fingerprint, home:fingerprint, claims, outbox.
# ARGV: home identifier, candidate's identifier, fingerprint, time to live in ms, message or '',
#       key prefix.
COMMIT = """
local before = redis.call('GET', KEYS[1])
if before and before ~= ARGV[3] then  -- forced: the previous content is no longer stored
  local key = ARGV[6] .. 'md5:' .. before
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
local stored = redis.call('GET', KEYS[3])
if not stored or redis.call('GET', ARGV[6] .. stored) ~= ARGV[3] then  -- otherwise a forced second file
  redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[4])
end
redis.call('DEL', KEYS[4])
redis.call('HDEL', KEYS[5], ARGV[1], ARGV[2])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[6], ARGV[1], ARGV[5]) end
return {'committed'}
"""

# STORING -> FREE: the worker that settles the claim found no file.
# KEYS: claims. ARGV: identifier, token.
RELEASE = (
    _COMMON
    + """
local claim = get_claim(KEYS[1], ARGV[1])
if claim and claim.token == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return {'released'}
"""
)

# CLAIMED -> FREE, when a worker gives up. STORING stays, but its lease ends: the file may be there
# although the store did not confirm it, so the next run must check.
# KEYS: claims. ARGV: identifier, token, identifier, token...
LEAVE = (
    _COMMON
    + """
for i = 1, #ARGV, 2 do
  local claim = get_claim(KEYS[1], ARGV[i])
  if claim and claim.token == ARGV[i + 1] then
    if claim.fingerprint then
      set_claim(KEYS[1], ARGV[i], claim.token, 0, claim.fingerprint)
    else
      redis.call('HDEL', KEYS[1], ARGV[i])
    end
  end
end
return {'left'}
"""
)

# Restart the lease of every claim that the worker still has.
# KEYS: claims. ARGV: lease in ms, then identifier, token, identifier, token...
RENEW = (
    _COMMON
    + """
for i = 2, #ARGV, 2 do
  local claim = get_claim(KEYS[1], ARGV[i])
  if claim and claim.token == ARGV[i + 1] then
    set_claim(KEYS[1], ARGV[i], claim.token, tonumber(ARGV[1]), claim.fingerprint)
  end
end
return {'renewed'}
"""
)

# Take over expired claims. Those with content get the new token, and the worker settles them by
# reading the store; those without are freed at once. With 'all', living claims are included: for a
# registry that no other run can be using.
# KEYS: claims. ARGV: token, lease in ms, 'expired' | 'all', at most how many.
# -> the identifiers to settle
EXPIRE = (
    _COMMON
    + """
local found, deadline = {}, now()
local claims = redis.call('HGETALL', KEYS[1])
for i = 1, #claims, 2 do
  local claim = cjson.decode(claims[i + 1])
  if claim.token ~= ARGV[1] and (ARGV[3] == 'all' or claim.deadline <= deadline) then
    if not claim.fingerprint then
      redis.call('HDEL', KEYS[1], claims[i])
    elseif #found < tonumber(ARGV[4]) then
      set_claim(KEYS[1], claims[i], ARGV[1], tonumber(ARGV[2]), claim.fingerprint)
      found[#found + 1] = claims[i]
    end
  end
end
return found
"""
)

# REGISTERED -> ANNOUNCED, unless a newer message has replaced the one that was sent.
# KEYS: outbox. ARGV: identifier, message.
SENT = """
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return {'sent'}
"""

# Delete what the registry stores about its archive, except the registrations, which are too many for
# one step. Refused while a living worker has claims, unless forced.
# KEYS: claims, quarantine, archive. ARGV: forced.
# -> {'held'} | {'forgotten'}
FORGET = (
    _COMMON
    + """
local claims = redis.call('HGETALL', KEYS[1])
for i = 1, #claims, 2 do
  if ARGV[1] == '0' and cjson.decode(claims[i + 1]).deadline > now() then return {'held'} end
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
return {'forgotten'}
"""
)
