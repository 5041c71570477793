// Package registry keeps the resources that are in force: it reads a tree of YAML
// files, watches it, and hands each new state to whoever watches the registry.
//
// A bad file changes nothing. Its last good content stays in force and the file
// is named in the snapshot's problems, while good files apply at once. Where
// files contradict each other, the one that changed last is held back. A file
// that is deleted takes its resources with it; a folder that cannot be read takes
// nothing.
//
// It promises no history: after a restart only what lies on disk is known.
package registry
