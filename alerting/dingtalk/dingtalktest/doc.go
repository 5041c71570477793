// Package dingtalktest is a stand-in for DingTalk's group robots that is as
// strict as the real ones: it verifies token, timestamp, signature, keywords,
// size and shape of every message, and silences a robot for ten minutes that is
// sent more than twenty messages in a minute. As the real one it answers
// everything with HTTP 200 and the truth in errcode.
//
// It serves tests ([Start]) and, as a long-running server, demonstrations
// ([New] and Run). [Server.Inject] makes it fail in the ways that real robots do.
package dingtalktest
