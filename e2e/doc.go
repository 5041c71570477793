// Package e2e holds the tests of the whole system: real kongdao processes with
// real Envoy and real ClickHouse, on demo fleets whose zones are processes of
// their own. Faults are real: SIGKILL, SIGINT, noise on ports, files that change
// under load. What is compared is counted: calls that were sent, lines in the
// gateway's log, rows that are stored.
package e2e
