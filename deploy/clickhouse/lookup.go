package schema

// Calls are found by a request id or a trace id through call_ids, which has a hash of
// each id with the tenant, function and minute of its call: a few thousand short rows
// are read for one id, and then a handful of granules of calls. Two ids can have the
// same hash, so a query keeps its condition on the id itself. What is older than
// call_ids, and calls stored before there was that table, are not found this way.

// RequestHash is the hash of a request id that is a UUID expression in SQL, such as a
// parameter; TraceHash the same for the 32 hex digits of a trace id.
func RequestHash(id string) string { return "xxHash32(toUUID(" + id + "))" }

// TraceHash is the hash of a trace id: of a string expression in SQL.
func TraceHash(hex string) string { return "xxHash32(toFixedString(unhex(" + hex + "), 16))" }

// ByHash is a condition for queries FROM calls AS alias that leaves the granules
// where calls with that hash may be; add the one on the id itself.
func ByHash(alias, hash string) string {
	from := " FROM call_ids WHERE id = " + hash + ")"
	// Not DateTime: against one of those, < on a DateTime64 in the order of a table
	// leaves out granules of the second before it.
	start := "toDateTime64(toDateTime(day, 'UTC') + minute * 60, 6)"
	return alias + ".tenant IN (SELECT tenant" + from +
		" AND " + alias + ".function IN (SELECT function" + from +
		" AND " + alias + ".ts >= (SELECT min(" + start + ")" + from +
		" AND " + alias + ".ts < (SELECT max(" + start + ") + 60" + from
}
