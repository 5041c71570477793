// Package alerting tells people in DingTalk what broke and that it works again.
//
//	metrics ─► rule ─► engine ─► outbox ─► dingtalk ─► robot
//	           PromQL  grouping  durable,  signed
//	                   silences  paced     markdown
//
// It scrapes metrics, evaluates the shipped rules and those that users write,
// groups, inhibits and silences their alerts as Alertmanager's configuration says,
// and delivers readable messages that survive crashes and robots' limits. Rules,
// configuration and robots can be replaced while it runs.
//
// It speaks Prometheus' query API and Alertmanager's API v2, so Grafana, amtool and
// promtool work against it. Calls of load tests are not part of the metrics that
// the shipped rules look at, so tests never page anybody.
package alerting
