// Package registry keeps the resources that are in force: it reads a tree of YAML
// files, watches it, and hands each new state to whoever watches the registry.
//
// A bad file changes nothing. Its last good content stays in force and the file
// is named in the snapshot's problems, while good files apply at once. Where
// files contradict each other, the one that changed last is held back. A file
// that is deleted takes its resources with it; a folder that cannot be read takes
// nothing.
//
// With Config.Kept that holds over restarts, kills among them: what a bad file had
// last is on disk, under its checksum. There is no other history.
package registry
