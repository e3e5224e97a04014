-- JSON: a parser and a writer; a document is written, parsed and written again.
local escapes = {b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/"}
local unescapes = {["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
		   ['"'] = '\\"', ["\\"] = "\\\\"}
local parse_value

local function skip(text, at)
	return text:find("%S", at) or #text + 1
end

local function parse_string(text, at)
	local parts = {}
	while true do
		local stop = text:find('["\\]', at) or error("string does not end")
		parts[#parts + 1] = text:sub(at, stop - 1)
		if text:sub(stop, stop) == '"' then
			return table.concat(parts), stop + 1
		end
		local letter = text:sub(stop + 1, stop + 1)
		if letter == "u" then
			parts[#parts + 1] = utf8.char(tonumber(text:sub(stop + 2, stop + 5), 16))
			at = stop + 6
		else
			parts[#parts + 1] = escapes[letter] or error("bad escape")
			at = stop + 2
		end
	end
end

local function parse_array(text, at)
	local array = {}
	at = skip(text, at)
	while text:sub(at, at) ~= "]" do
		array[#array + 1], at = parse_value(text, at)
		at = skip(text, at)
		if text:sub(at, at) == "," then
			at = skip(text, at + 1)
		end
	end
	return array, at + 1
end

local function parse_object(text, at)
	local object, key = {}, nil
	at = skip(text, at)
	while text:sub(at, at) ~= "}" do
		key, at = parse_string(text, at + 1)
		at = skip(text, text:match("^%s*:()", at))
		object[key], at = parse_value(text, at)
		at = skip(text, at)
		if text:sub(at, at) == "," then
			at = skip(text, at + 1)
		end
	end
	return object, at + 1
end

function parse_value(text, at)
	local first = text:sub(at, at)
	if first == "{" then
		return parse_object(text, at + 1)
	elseif first == "[" then
		return parse_array(text, at + 1)
	elseif first == '"' then
		return parse_string(text, at + 1)
	elseif text:match("^true", at) then
		return true, at + 4
	elseif text:match("^false", at) then
		return false, at + 5
	end
	local number, stop = text:match("^(-?[%d.eE+-]+)()", at)
	return assert(tonumber(number), "no value"), stop
end

local function quote(text)
	return '"' .. text:gsub('[%c"\\]', unescapes) .. '"'
end

local function write(value)
	if type(value) == "string" then
		return quote(value)
	elseif type(value) ~= "table" then
		return tostring(value)
	elseif #value > 0 then
		local parts = {}
		for i, item in ipairs(value) do
			parts[i] = write(item)
		end
		return "[" .. table.concat(parts, ",") .. "]"
	end
	local keys, parts = {}, {}
	for key in pairs(value) do
		keys[#keys + 1] = key
	end
	table.sort(keys)
	for i, key in ipairs(keys) do
		parts[i] = quote(key) .. ":" .. write(value[key])
	end
	return "{" .. table.concat(parts, ",") .. "}"
end

local users = {}
for id = 1, 1500 do
	users[id] = {id = id, name = "user \"" .. id .. "\"\n", active = id % 2 == 0, score = id / 8,
		     tags = {"a" .. id, "b\\" .. id, "c\t" .. id}, address = {city = "Rotterdam", zip = id * 7}}
end
local text = write(users)
for _ = 1, 6 do
	local again = parse_value(text, 1)
	assert(write(again) == text and again[1500].address.zip == 10500)
end
