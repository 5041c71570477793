// Package grpcjson reads what a gateway needs to carry JSON calls to gRPC services:
// descriptor sets as protoc and buf write them, and the HTTP rules (google.api.http)
// in them. It finds the method that a call is for in the way that Envoy's
// transcoder does.
//
// [Read] takes a set in, [Set.Transcoder] makes something of it that calls can be
// held against. Neither is ever changed after it was returned.
package grpcjson
