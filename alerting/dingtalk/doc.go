// Package dingtalk speaks to DingTalk group robots: it signs and sends messages,
// tells lasting refusals from passing ones, and renders groups of alerts as
// markdown that reads well on a phone.
//
// What it promises
//
//   - HTTP 200 is not success: only errcode 0 in the body is.
//   - Neither the access token nor the secret is ever part of an error.
//   - No message is longer than [MaxBytes] as sent; longer texts are split at
//     line ends, and never inside a character.
//
// It keeps no queue and no rate: that is what package outbox is for. Going over
// [RobotLimit] messages in a minute silences a robot for [Punishment].
package dingtalk
