// Package api holds KongDao's resources: what users write in YAML and what every
// part of the system reads. It knows no technology: no Envoy, no ClickHouse, no
// files beyond the name and line a resource came from.
//
// [Parse] turns YAML into resources and [Validate] checks a whole [Set] for what a
// single document cannot show. Both report every problem at once, each with file,
// line, field and remedy.
//
// Resources are values that nobody changes once they are in a Set; they may be
// shared between goroutines.
package api
