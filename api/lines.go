package api

import "strings"

// Lines says on which line of its file each field of a document was written, by
// field path such as "spec.routes[0].path". A field that is on the line of the
// field around it has no entry of its own.
type Lines map[string]int

// At is the line of the field, or of the nearest field around it that is known;
// 0 when nothing is.
func (l Lines) At(field string) int {
	for {
		if line, ok := l[field]; ok {
			return line
		}
		if field == "" {
			return 0
		}
		field = parent(field)
	}
}

// set records the line of a field; the fields around it come first.
func (l Lines) set(field string, line int) {
	if l.At(field) != line {
		l[field] = line
	}
}

// parent is the path of the field around this one.
func parent(field string) string {
	return field[:max(0, strings.LastIndexAny(field, ".["))]
}

// join is the path of a key within a field.
func join(field, key string) string {
	if field == "" {
		return key
	}
	return field + "." + key
}

// within says whether a field is the other or lies in it.
func within(field, other string) bool {
	rest, ok := strings.CutPrefix(field, other)
	return ok && (other == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}
