-- Reads of a margin at READ_RATE a second over all threads. `delay` waits until the next request of
-- this thread is due.
local path = "/v1/accounts/" .. os.getenv("ACCOUNT") .. "/margin"
local threads = 0

function setup(thread)
   threads = threads + 1
   thread:set("count", 2)
end

local period
local due
local ffi = require("ffi")
ffi.cdef [[ typedef struct { long s; long ns; } timespec_t; int clock_gettime(int, timespec_t *); ]]
local now_spec = ffi.new("timespec_t")
local function now()
   ffi.C.clock_gettime(1, now_spec)
   return tonumber(now_spec.s) * 1e3 + tonumber(now_spec.ns) / 1e6
end

function init()
   period = 1000 * count / tonumber(os.getenv("READ_RATE"))
end

function delay()
   due = due or now()
   due = due + period
   return math.max(0, due - now())
end

function request()
   return wrk.format("GET", path)
end

dofile("figures.lua")
