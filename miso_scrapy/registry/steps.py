"""The state machine of a candidate, and its steps, each one atomic in Redis.

Redis runs a script whole or not at all, and nothing in between, so a worker can be killed *between*
two steps but never *within* one. This file says why that loses nothing.

Keys, all below ``{environment}:{dgroup}:``

    {identifier}         string  the candidate's fingerprint: it is REGISTERED
    md5:{fingerprint}    string  the identifier under which that content is stored
    home:{fingerprint}   string  the identifier under which that content is about to be stored
    claims               hash    identifier -> who is at work on it, until when, with which content
    outbox               hash    identifier -> the message that is still to be sent
    quarantine           set     the hashes of the bodies that are kept unfiled (no part of the machine)
    archive              string  the id of the archive that all this is about (no part of the machine)

States of a candidate (what the keys hold), who moves it on, and what a kill leaves

    FREE        nothing.
       | claim        a worker that wants to fetch it
    CLAIMED     a claim without content.
       |              killed here: nothing was stored. The lease runs out; the next run frees it.
       | hold         the same worker, once it knows the content. If that content is stored already,
       |              the candidate becomes REGISTERED in this very step, as a duplicate.
    STORING     a claim with content; home names the one identifier this content may be stored under.
       |              killed here: the file is there, whole, or it is not (the store sees to that).
       |              The next run looks: there, it commits on behalf of the dead (so the file is
       |              registered and announced); not there, it frees the candidate. Where the store
       |              does not tell, the claim stays for a run that is told.
       | commit       the same worker, after the store has confirmed the file
    REGISTERED  identifier and md5; with Kafka, its message in the outbox, written in the same step.
       |              killed here: the message waits; the next run sends it first.
       | sent         whoever has the broker's acknowledgement
    ANNOUNCED   identifier and md5.

A claim is a lease with a token of its own: a worker that claims a candidate again while its first
claim lasts is held, as any other worker is. Its worker renews it; a dead worker's runs out, by the
clock of Redis, so that workers' clocks do not matter. A lease may also run out on a worker that
lives but stands still (a laptop lid, SIGSTOP). Then two workers may be at work on one candidate, and
still nothing is filed twice, whatever the order of their steps:

- One file per candidate: the store itself takes only the first (a link or a conditional put). The
  second finds it there and commits *that* file's content.
- One file per content: home is set once, by the first worker with that content, and is not moved
  while that content might still be put there. Whoever comes later with the same content either
  waits for the first, or, when that one is gone, stores it under the same home in its place.
- A commit says what the store holds. It is true whoever says it, and saying it twice changes
  nothing; so it does not ask who holds the claim. (Not so where runs force the same candidate at
  once: the last file wins, and the last commit.)

The leader of any disagreement is the store: nothing is registered that was not confirmed there.
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

# FREE -> CLAIMED. Forced, a registered candidate may be claimed too. Insisting, an abandoned one that
# could not be settled: its content stays in the claim, so that it is not forgotten.
# A candidate whose content is stored no more (its file was overwritten, by force) is free again.
# A worker that does not know the archive that the registry belongs to gets no claim: it opened before
# the registry was bound, or was given to another archive.
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
if claim and claim.token ~= ARGV[2] then  -- the same token: this very call, sent again
  if claim.deadline > now() then return {'held'} end
  if claim.fingerprint and ARGV[5] == '0' then return {'abandoned'} end
end
set_claim(KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3]), claim and claim.fingerprint)
return {'claimed'}
"""
)

# CLAIMED -> STORING, or -> REGISTERED where the content is stored already.
# KEYS: identifier, md5:fingerprint, home:fingerprint, claims.
# ARGV: identifier, token, lease in ms, fingerprint, time to live in ms, forced, key prefix.
# -> {'lost'}: the lease ran out and another has the candidate, or it is registered
#  | {'duplicate', identifier} | {'held', identifier}: another is storing this content
#  | {'store', identifier}: store it under this name, be it in the place of a dead worker
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

# STORING -> REGISTERED, and its message into the outbox. What was stored elsewhere on behalf of a
# dead worker registers the candidate at hand too.
# KEYS: home identifier, candidate's identifier, md5:fingerprint, home:fingerprint, claims, outbox.
# ARGV: home identifier, candidate's identifier, fingerprint, time to live in ms, message or '',
#       key prefix.
COMMIT = """
local before = redis.call('GET', KEYS[1])
if before and before ~= ARGV[3] then  -- forced: the content that was here is stored no more
  local key = ARGV[6] .. 'md5:' .. before
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
local stored = redis.call('GET', KEYS[3])
if not stored or redis.call('GET', ARGV[6] .. stored) ~= ARGV[3] then  -- else, forced, a second file
  redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[4])
end
redis.call('DEL', KEYS[4])
redis.call('HDEL', KEYS[5], ARGV[1], ARGV[2])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[6], ARGV[1], ARGV[5]) end
return {'committed'}
"""

# STORING -> FREE: whoever settles it found nothing stored.
# KEYS: claims. ARGV: identifier, token.
RELEASE = (
    _COMMON
    + """
local claim = get_claim(KEYS[1], ARGV[1])
if claim and claim.token == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return {'released'}
"""
)

# CLAIMED -> FREE, when a worker gives up. STORING stays, its lease at an end: the file may be there
# though the store did not confirm it, so the next run is to look.
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

# The lease starts anew, for every claim that the worker still has.
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

# Expired claims change hands: those with content to *token*, to be settled by what the store says;
# those without are freed at once. With 'all', living ones too: for a registry that no other run can
# be using.
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

# REGISTERED -> ANNOUNCED, unless a newer message has taken the place of the one that was sent.
# KEYS: outbox. ARGV: identifier, message.
SENT = """
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return {'sent'}
"""

# What the registry says of its archive, but for the registrations, which are too many for one step.
# Not while a worker lives that has claims, unless forced.
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
