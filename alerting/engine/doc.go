// Package engine is Alertmanager inside this process: it groups, inhibits,
// silences and repeats alerts as its configuration says, and hands what is to be
// told to a robot to a function. Version 2 of its API is served, so amtool and
// Grafana work against it.
//
// A receiver of the configuration that has the name of a robot goes to that robot;
// the receiver "dingtalk" goes to the first robot when none has that name; "null"
// goes nowhere. Integrations that a receiver lists (webhook_configs and so on) are
// Alertmanager's own. A receiver that would silently go nowhere is an error.
//
// Silences, the notification log and the alerts live in files and survive a restart
// and a kill: what fires on is not told again, what ended meanwhile is told as
// resolved, and a silence holds as soon as the API has answered. Every
// [Config.MaintenanceInterval] each is written whole; in between each change is
// appended. What was being told when the process was killed may be told twice.
//
// With [Config.Cluster], Alertmanager's gossip shares silences and the notification
// log between instances. One tells, the others wait for it, and leave alone what was
// told of lately.
//
// Groups of other Alertmanagers come by POST /webhook/{receiver}. Alertmanager
// promises no stable Go API, so nothing outside of this package knows its pieces.
package engine
