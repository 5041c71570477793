// Package dashboards builds KongDao's Grafana dashboards in Go: the gateway
// overview and the detail of one function, over the tables of package schema,
// read by the official ClickHouse data source (grafana-clickhouse-datasource).
//
// What holds for every panel, and is checked by [Lint]: a title, a description
// that says what is counted, a unit, a link onward, no data source but the one
// chosen in the variable datasource. Rates are calls a second, latencies seconds,
// shares fractions of one; one outcome has one colour everywhere, from Grafana's
// named colours, which exist in the light and in the dark theme.
//
// Calls of load tests are in no panel but those that say so.
//
// Lines are read from the rollup that fits the time range and the width of a
// panel. Two hidden variables choose it: rollup, a table, and step, the seconds
// between its rows. Buckets are whole multiples of the step and lie whole inside
// the time range, so no line dips at its ends.
//
// The package writes files; it does not talk to Grafana.
package dashboards
