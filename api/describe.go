package api

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// describe names a node in a message: a scalar by its text, the rest by its kind.
func describe(n ast.Node) string {
	text, ok := scalarText(n)
	switch {
	case !ok:
		return kindOf(n)
	case isText(n):
		return quote(text)
	default:
		return text
	}
}

// kindOf names what a node is without its text.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	default:
		return "a single value"
	}
}

// wantOf says what a type takes.
func wantOf(t reflect.Type, want string) string {
	if want != "" {
		return want
	}
	switch t {
	case reflect.TypeFor[Duration]():
		return "a duration such as 100ms, 1.5s or 2m"
	case reflect.TypeFor[Rate]():
		return "a rate such as 10/s, 600/m or 5000/h"
	case reflect.TypeFor[Percent]():
		return "a percentage from 0% to 100%, such as 99.9%"
	case reflect.TypeFor[Secret]():
		return "${env:NAME} or ${file:path}"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return wantOf(t.Elem(), "")
	case reflect.Struct:
		return "a mapping with " + listed(keysOf(t))
	case reflect.Map:
		return "a mapping of text to " + strings.TrimPrefix(wantOf(t.Elem(), ""), "a ")
	case reflect.Slice:
		return "a list, each item " + wantOf(t.Elem(), "")
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

// scalarText is the text of a scalar as it was written.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// isText says whether a scalar is text and not a number or the like.
func isText(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return true
	}
	return false
}

// unusable says why a node cannot be read by a strict reader, or nothing.
func unusable(n ast.Node) string {
	switch n.(type) {
	case *ast.AliasNode, *ast.AnchorNode:
		return "uses an anchor or alias, want the value itself written out"
	case *ast.TagNode:
		return "has a YAML tag, want the plain value"
	}
	return ""
}

// listed joins words as in "a, b and c".
func listed(words []string) string { return listedBy(words, " and ") }

// oneOf joins words as in "one of a, b or c".
func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return "one of " + listedBy(words, " or ")
}

func listedBy(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + last + words[len(words)-1]
}

// suggest says which word was meant, or which there are.
func suggest(word string, known []string) string {
	if best := nearest(word, known); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "want " + oneOf(known)
}

// nearest is the word that was probably meant: at most a third of the letters
// differ, and one more. It is empty when there is none.
func nearest(word string, known []string) string {
	best, distance := "", len(word)/3+2
	for _, k := range known {
		if n := edits(strings.ToLower(word), strings.ToLower(k)); n < distance {
			best, distance = k, n
		}
	}
	return best
}

// edits is the Levenshtein distance: insertions, deletions and replacements that
// turn a into b. Long words are not compared; they are no slip of the finger.
func edits(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
