package schema

import "strconv"

// ReaderSeconds is how long a query of a reader may run at most. It is half of
// that unless the query asks for more.
const ReaderSeconds = 60

// ReaderMemory is what a query of a reader may take on a server, bytes; a reader's
// queries together may take twice that.
const ReaderMemory = 4_000_000_000

// What a reader may use in a minute: queries, and seconds that they run.
const (
	ReaderQueries       = 600
	ReaderQuerySeconds  = 120
	readerQuotaInterval = 60 // seconds
)

// mostRows is what a query of a reader may read.
const mostRows = 10_000_000_000

// Limit is a setting of readers. Without Max it cannot be changed; with it, a
// query may choose a value from Min to Max.
type Limit struct {
	Name     string
	Value    string
	Min, Max string
}

// ReaderLimits are the settings that a reader's queries run with, where a query
// may take memory bytes.
func ReaderLimits(memory int64) []Limit {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []Limit{
		{Name: "readonly", Value: "1"}, // no writes, no DDL, and no settings but those with Max
		// Drivers derive it from a deadline, hence it can be chosen, but not lifted: 0 is without end.
		{Name: "max_execution_time", Value: number(ReaderSeconds / 2), Min: "1", Max: number(ReaderSeconds)},
		{Name: "max_memory_usage", Value: number(memory), Min: "1", Max: number(memory)}, // log rules take less
		{Name: "max_memory_usage_for_user", Value: number(2 * memory)},
		{Name: "max_rows_to_read", Value: number(mostRows), Min: "1", Max: number(mostRows)}, // calls of a day at 100,000 a second
		{Name: "max_result_rows", Value: number(1_000_000)},
		{Name: "max_result_bytes", Value: number(256 << 20)},
		{Name: "max_concurrent_queries_for_user", Value: "8"},
		{Name: "max_temporary_data_on_disk_size_for_query", Value: number(1 << 30)}, // 0 would be no limit
		{Name: "max_temporary_data_on_disk_size_for_user", Value: number(2 << 30)},
		{Name: "allow_ddl", Value: "0"},
		{Name: "allow_introspection_functions", Value: "0"},
		{Name: "cancel_http_readonly_queries_on_client_close", Value: "1"},
	}
}
