package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A MergeTree writes down the token of an insert before it gives the new part its
// name. An engine that is killed in between has a token without rows: when the
// insert is sent again, the rows are taken for stored, and are lost. Hence, before
// each start, tokens whose part is not there are withdrawn, as the engine itself
// does when it drops a part.
//
// A line of the log is: 1 (added) or 2 (withdrawn), part, token, separated by tabs.
const (
	tokenLogs  = "deduplication_logs"
	tokenLog   = "deduplication_log_"
	tokenAdded = "1"
	tokenGone  = "2"
)

// withdrawTokens does so for all tables in data, of which no engine runs, and
// returns how many tokens there were.
func withdrawTokens(data string) (n int, err error) {
	folders, err := filepath.Glob(filepath.Join(data, "store", "*", "*", tokenLogs))
	if err != nil {
		return 0, err
	}
	for _, folder := range folders {
		found, err := withdrawTokensOf(folder)
		if err != nil {
			return n, fmt.Errorf("insert tokens in %s: %w", folder, err)
		}
		n += found
	}
	return n, nil
}

// withdrawTokensOf does so for one table.
func withdrawTokensOf(folder string) (n int, err error) {
	logs, err := tokenLogFiles(folder)
	if err != nil || len(logs) == 0 {
		return 0, err
	}
	tokens := map[string]string{} // and their parts
	for _, log := range logs {
		if err := readTokens(log, tokens); err != nil {
			return 0, err
		}
	}
	parts, err := partsIn(filepath.Dir(folder))
	if err != nil {
		return 0, err
	}
	var lines bytes.Buffer
	for token, name := range tokens {
		p, ok := parsePart(name)
		if ok && !slices.ContainsFunc(parts[p.partition], p.in) {
			fmt.Fprintf(&lines, "%s\t%s\t%s\n", tokenGone, name, token)
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	return n, appendSynced(logs[len(logs)-1], lines.Bytes())
}

// tokenLogFiles are the logs of a table, oldest first.
func tokenLogFiles(folder string) ([]string, error) {
	logs, err := filepath.Glob(filepath.Join(folder, tokenLog+"*.txt"))
	slices.SortFunc(logs, func(a, b string) int {
		if len(a) != len(b) { // numbers without leading zeros
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return logs, err
}

// readTokens adds the tokens of one log and takes away those that it withdraws.
// What follows the last newline is no line: its write was cut off by a kill.
func readTokens(log string, tokens map[string]string) error {
	text, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(text) {
		op, rest, _ := strings.Cut(string(line), "\t")
		part, token, ok := strings.Cut(rest, "\t")
		token, whole := strings.CutSuffix(token, "\n")
		switch {
		case !ok || !whole:
		case op == tokenAdded:
			tokens[token] = part
		case op == tokenGone:
			delete(tokens, token)
		}
	}
	return nil
}

// part is what the name of a part says: PARTITION_MIN_MAX_LEVEL[_MUTATION], where
// MIN to MAX are the numbers of the inserts in it.
type part struct {
	partition string
	min, max  int64
}

func parsePart(name string) (p part, ok bool) {
	fields := strings.Split(name, "_")
	if len(fields) != 4 && len(fields) != 5 {
		return p, false
	}
	p.partition = fields[0]
	var err1, err2 error
	p.min, err1 = strconv.ParseInt(fields[1], 10, 64)
	p.max, err2 = strconv.ParseInt(fields[2], 10, 64)
	return p, err1 == nil && err2 == nil
}

// in reports that other is p, or was merged from it.
func (p part) in(other part) bool { return other.min <= p.min && p.max <= other.max }

// partsIn are the parts in a table's folder, by partition. Those that were not
// finished have a prefix in their name and do not parse.
func partsIn(table string) (map[string][]part, error) {
	entries, err := os.ReadDir(table)
	if err != nil {
		return nil, err
	}
	parts := map[string][]part{}
	for _, e := range entries {
		if p, ok := parsePart(e.Name()); ok && p.partition != "tmp" && p.partition != "delete" {
			parts[p.partition] = append(parts[p.partition], p)
		}
	}
	return parts, nil
}

// appendSynced appends lines behind the last whole line.
func appendSynced(name string, lines []byte) (err error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	end := int64(bytes.LastIndexByte(text, '\n') + 1)
	if err := f.Truncate(end); err != nil {
		return err
	}
	if _, err := f.WriteAt(lines, end); err != nil {
		return err
	}
	return f.Sync()
}
