-- Who may call. The route says what is asked for (filterContext); who the consumers
-- are stands before this text, in CALLERS: a line each,
--   k SHA-256-OF-A-KEY CONSUMER
--   c HEX-OF-A-CERTIFICATE'S-NAME CONSUMER
-- An error in a script lets a request pass, so everything runs in a pcall and an
-- error is an answer of 503.

local band, bnot, bor, bxor = bit.band, bit.bnot, bit.bor, bit.bxor
local lshift, rshift, ror, tobit, tohex = bit.lshift, bit.rshift, bit.ror, bit.tobit, bit.tohex
local byte, char, rep, format = string.byte, string.char, string.rep, string.format

local holders, certificates = {}, {}
for kind, name, consumer in CALLERS:gmatch("(%a) (%x+) (%S+)\n") do
  if kind == "k" then
    holders[name] = consumer
  else
    certificates[name:gsub("%x%x", function(two) return char(tonumber(two, 16)) end)] = consumer
  end
end

local K = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
local w = {}

local function sha256(text)
  local n = #text
  text = text .. "\128" .. rep("\0", (55 - n) % 64) .. "\0\0\0\0"
    .. char(band(rshift(n, 21), 255), band(rshift(n, 13), 255), band(rshift(n, 5), 255), band(lshift(n, 3), 255))
  local A, B, C, D, E, F, G, H =
    0x6a09e667, tobit(0xbb67ae85), 0x3c6ef372, tobit(0xa54ff53a), 0x510e527f, tobit(0x9b05688c), 0x1f83d9ab, 0x5be0cd19
  for at = 1, #text, 64 do
    for i = 0, 15 do
      local p, q, r, s = byte(text, at + 4 * i, at + 4 * i + 3)
      w[i] = bor(lshift(p, 24), lshift(q, 16), lshift(r, 8), s)
    end
    for i = 16, 63 do
      local x, y = w[i - 15], w[i - 2]
      local s0 = bxor(ror(x, 7), ror(x, 18), rshift(x, 3))
      local s1 = bxor(ror(y, 17), ror(y, 19), rshift(y, 10))
      w[i] = tobit(w[i - 16] + s0 + w[i - 7] + s1)
    end
    local a, b, c, d, e, f, g, h = A, B, C, D, E, F, G, H
    for i = 0, 63 do
      local s1 = bxor(ror(e, 6), ror(e, 11), ror(e, 25))
      local t1 = tobit(h + s1 + bxor(band(e, f), band(bnot(e), g)) + K[i + 1] + w[i])
      local s0 = bxor(ror(a, 2), ror(a, 13), ror(a, 22))
      local t2 = tobit(s0 + bxor(band(a, b), band(a, c), band(b, c)))
      h, g, f, e, d, c, b, a = g, f, e, tobit(d + t1), c, b, a, tobit(t1 + t2)
    end
    A, B, C, D = tobit(A + a), tobit(B + b), tobit(C + c), tobit(D + d)
    E, F, G, H = tobit(E + e), tobit(F + f), tobit(G + g), tobit(H + h)
  end
  return tohex(A) .. tohex(B) .. tohex(C) .. tohex(D) .. tohex(E) .. tohex(F) .. tohex(G) .. tohex(H)
end

-- Good keys are hashed once; there are only as many as consumers have. Bad ones are
-- not remembered, so that nobody can fill the memory.
local known = {}
local longest = 1024 -- bytes of a key

local function holder(key)
  local consumer = known[key]
  if consumer == nil and #key <= longest then
    consumer = holders[sha256(key)]
    known[key] = consumer
  end
  return consumer
end

local function owner(ssl)
  local consumer = certificates["sha256:" .. (ssl:sha256PeerCertificateDigest() or "")]
    or certificates["subject:" .. (ssl:subjectPeerCertificate() or "")]
  for _, san in ipairs(ssl:uriSanPeerCertificate() or {}) do
    consumer = consumer or certificates["uri:" .. san]
  end
  for _, san in ipairs(ssl:dnsSansPeerCertificate() or {}) do
    consumer = consumer or certificates["dns:" .. san]
  end
  return consumer
end

local function texts(claim)
  if type(claim) ~= "table" then
    if claim == nil then return {} end
    return { tostring(claim) }
  end
  local all = {}
  for _, item in ipairs(claim) do
    for _, text in ipairs(texts(item)) do all[#all + 1] = text end
  end
  return all
end

local function at(claims, path)
  for _, key in ipairs(path) do
    if type(claims) ~= "table" then return nil end
    claims = claims[key]
  end
  return claims
end

-- lacking is the first required claim that has none of its values, or nil.
local function lacking(claims, require)
  for _, want in ipairs(require) do
    local have = texts(at(claims, want.path))
    local last = want.path[#want.path]
    if last == "scope" or last == "scp" then
      local words = {}
      for word in table.concat(have, " "):gmatch("%S+") do words[#words + 1] = word end
      have = words
    end
    local found = false
    for _, value in ipairs(have) do found = found or want.values[value] end
    if not found then return want.name end
  end
end

-- What routes ask for is read once: reading it is most of what the decision costs.
-- The id is a hash of all of it, so what is kept of one is never another's.
local contexts, kept = {}, 0
local most = 4096

local function context(c)
  local id = c:get("id")
  local x = id and contexts[id]
  if x then return x end
  x = { grants = {} }
  for _, name in ipairs({ "verb", "needs", "public", "addresses", "key", "certificate", "signature", "unsigned", "reroute", "let_in_to", "tokens", "external" }) do
    x[name] = c:get(name)
  end
  if id then
    if kept == most then contexts, kept = {}, 0 end
    contexts[id], kept = x, kept + 1
  end
  return x
end

-- granted remembers only who is, for those are as many as the route names.
local function granted(x, c, consumer)
  if not x.grants[consumer] and c:get("c:" .. consumer) then x.grants[consumer] = true end
  return x.grants[consumer]
end

-- decide returns the consumer and the header with the key that showed it, if it was
-- one; or nil and the refusal.
local function decide(h, headers, c, x)
  if x.addresses then
    local result = h:streamInfo():dynamicMetadata():get("envoy.filters.http.rbac") or {}
    if result.shadow_engine_result ~= "allowed" then
      local address = h:streamInfo():downstreamRemoteAddress():gsub(":%d+$", "")
      return nil, "403", "address_refused", "calls from " .. address .. " are not let in"
    end
  end
  if x.public then return "" end

  local key, consumer = x.key and headers:get("x-api-key"), nil
  if key and key ~= "" then
    consumer = holder(key)
    if consumer and granted(x, c, consumer) then return consumer, "x-api-key" end
  end

  local status, code, reason = "401", "credentials_required", x.needs
  local right = x.verb
  local function refuse(s, e, r)
    if code == "not_granted" or code == "credentials_invalid" and e ~= "not_granted" then return end
    status, code, reason = s, e, r
  end
  local function let(who)
    if granted(x, c, who) then return true end
    refuse("403", "not_granted", who .. " may not " .. right)
  end

  if consumer then
    let(consumer)
  elseif key and key ~= "" then
    refuse("401", "credentials_invalid", "the key in x-api-key is nobody's")
  end

  if x.certificate then
    local ssl = h:streamInfo():downstreamSslConnection()
    if ssl and ssl:peerCertificatePresented() and ssl:peerCertificateValidated() then
      local holds = owner(ssl)
      if not holds then
        refuse("401", "credentials_invalid", "the client certificate is nobody's")
      elseif let(holds) then
        return holds
      end
    end
  end

  if x.tokens then
    local found = h:streamInfo():dynamicMetadata():get("envoy.filters.http.jwt_authn") or {}
    for _, t in ipairs(x.tokens) do
      local claims, failed = found[t.issuer], found[t.issuer .. ".failed"]
      if claims then
        local who = t.name .. "/" .. table.concat(texts(at(claims, t.subject)), ",")
        local lack = lacking(claims, t.require)
        if lack then
          refuse("403", "not_granted", who .. ": the claim " .. lack .. " is not one that is let in")
        elseif t.any or let(who) then
          return who
        end
      elseif failed and failed.message ~= "Jwt is missing" then
        refuse("401", "credentials_invalid", "the token for " .. t.name .. " is not good: " .. tostring(failed.message))
      end
    end
  end

  local ask = x.external
  local authorization = (x.signature or x.unsigned) and headers:get("authorization")
  if authorization and authorization:sub(1, 20) == "KongDao-HMAC-SHA256 " then
    if x.unsigned then return nil, "401", "credentials_invalid", "the signature is not good" end
    ask = "signatures"
  end
  if ask then
    local m = h:streamInfo():dynamicMetadata()
    m:set("kongdao.access", "ask", ask)
    if ask == "signatures" then
      -- Whether it is this consumer is for the authorizer to find out.
      local signer = authorization:match("consumer=([%w-]+)") or ""
      m:set("kongdao.access", "granted", granted(x, c, signer) and signer or "")
      m:set("kongdao.access", "verb", right)
    end
    return ask ~= "signatures" and "external" or ""
  end
  return nil, status, code, reason
end

-- let_in decides, and tells pods and limits who calls.
local function let_in(h)
  local c = h:filterContext()
  local x, headers = context(c), h:headers()
  local consumer, second, code, reason = decide(h, headers, c, x)
  if not consumer then return nil, second, code, reason end
  if x.let_in_to then headers:replace("x-kongdao-let-in", x.let_in_to) end
  if consumer ~= "" then
    headers:replace("x-kongdao-consumer", consumer)
    if x.reroute then h:clearRouteCache() end
  end
  if second then -- the header with the key
    if x.reroute then h:metadata() end -- looks the route up, which may ask for the key
    headers:remove(second)
  end
  return consumer
end

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(x) return format("\\u%04x", byte(x)) end) .. '"'
end

function envoy_on_request(h)
  local ok, consumer, status, code, reason = pcall(let_in, h)
  if ok and consumer then return end
  if not ok then
    h:logErr("access: " .. tostring(consumer))
    status, code, reason = "503", "access_undecided", "the gateway could not decide who may call"
  end
  h:headers():remove("x-kongdao-revision") -- else the answer would be the one about revisions that do not exist
  h:respond({ [":status"] = status, ["content-type"] = "application/json" },
    '{"error":' .. quote(code) .. ',"reason":' .. quote(reason) .. "}\n")
end
