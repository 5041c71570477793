// Package rule evaluates Prometheus rules in this process: it scrapes metrics into
// a small time series database of its own, runs rule groups over them with
// Prometheus' engine, and reports alerts to a function. The same rule files run on
// a real Prometheus.
//
// Rules come as texts with names ([Evaluator.SetRules]): the shipped ones
// ([Pack]) and those that users write. A text that is wrong is refused by name,
// and what ran under its name before runs on.
//
// Queries, rules and alerts are served as Prometheus serves them, on
// /api/v1/query, /api/v1/query_range, /api/v1/rules, /api/v1/alerts and what
// Grafana's Prometheus source needs besides. "For" clauses survive a restart.
//
// It is tuned for thousands of series, not millions: some ten megabytes of memory.
package rule
