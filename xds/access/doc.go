// Package access checks signed requests: it is the authorizer that gateways ask
// about them (Envoy's ext_authz over gRPC), and what clients sign with.
//
// A signed request carries
//
//	authorization: KongDao-HMAC-SHA256 consumer=partner, timestamp=1790000000, nonce=0f8a…, signature=6c1e…
//
// where signature is the HMAC-SHA256, in lower-case hex, of these lines under the
// consumer's secret, joined by a line feed and without one at the end:
//
//	KongDao-HMAC-SHA256
//	the consumer
//	the timestamp: seconds since 1970, in decimal
//	the nonce: 16 to 64 of A-Z a-z 0-9 . _ -
//	the method, such as POST
//	the host as sent, with the port if one is sent, in lower case
//	the path as sent, with ? and the query if there is one; without . and .. segments
//	the SHA-256 of the body, in lower-case hex; of nothing when there is no body
//
// The gateway's process knows no secret. What is signed cannot be sent twice:
// nonces are remembered for as long as their timestamp is good, and what was
// signed before this process started, whose nonces it cannot know, is refused.
package access
