// Package query answers typed questions about calls, without SQL: what a Grafana
// panel, a report and an export ask.
//
// A [Query] says what is wanted, a [Range] when. [Query.Plan], which is pure, reads
// both into one statement of ClickHouse: it chooses the table that answers with the
// fewest rows (a rollup where it can, single calls where it must) and says why.
// [Run] asks ClickHouse as one user and gives Grafana's data frames; the tables that
// the user sees are those of package schema, and hold the rows of the user's tenants
// alone. Nothing that a query says can widen that: names and texts are parameters.
package query
