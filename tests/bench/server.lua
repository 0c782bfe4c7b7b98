-- For wrk: requests that were made before, all of one length, from $REQUESTS ($LENGTH bytes each), each
-- sent once.  Without $REQUESTS: GET of the URL's path.  Answers that are not 2xx are counted by wrk.
local threads = 0
function setup(thread)
	thread:set("number", threads)
	threads = threads + 1
end

function init(args)
	local name = os.getenv("REQUESTS")
	if not name then
		return
	end
	length = tonumber(os.getenv("LENGTH"))
	local n = tonumber(os.getenv("COUNT"))
	local share = math.floor(n / tonumber(os.getenv("THREADS")))
	local f = assert(io.open(name, "rb"))
	f:seek("set", number * share * length)
	all = f:read(share * length)
	f:close()
	at, last = 0, share
end

function request()
	if not all then
		return wrk.format("GET")
	end
	local from = at * length
	at = at + 1
	if at > last then
		from = 0 -- used up: these are replays and will be counted as errors
	end
	return string.sub(all, from + 1, from + length)
end
