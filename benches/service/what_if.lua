-- What-ifs of one order in one account, each with a new quantity.
local account, instrument = os.getenv("ACCOUNT"), os.getenv("INSTRUMENT")
local headers = { ["Content-Type"] = "application/json" }
local quantity = 0

function request()
   quantity = quantity + 0.001
   local body = string.format('{"account":"%s","orders":[{"instrument":"%s","quantity":%.3f}]}', account, instrument, quantity)
   return wrk.format("POST", "/v1/what-ifs", headers, body)
end

dofile("figures.lua")
