// Package dingtalktest is a stand-in for DingTalk's group robots that is as
// strict as the real ones: it verifies token, timestamp, signature, keywords,
// size and shape of every message, and silences a robot for ten minutes that is
// sent more than twenty messages in a minute. As the real one it answers
// everything with HTTP 200 and the truth in errcode.
//
// With [Config.App] it is an app too, after DingTalk's documentation: access tokens,
// interactive cards, and the WebSocket of Stream mode, over which [Server.Click]
// pushes what somebody does with a card, again and again until it is answered. There
// HTTP statuses mean something.
//
// It serves tests ([Start]) and, as a long-running server, demonstrations
// ([New] and Run). [Server.Inject] makes it fail in the ways that real robots do.
package dingtalktest
