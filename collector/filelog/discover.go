package filelog

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// discover follows what the globs match, looking again and again until ctx ends.
func (t *Tailer) discover(ctx context.Context, follow func(*follower)) error {
	// A file that is seen late is not read later than that, and loses nothing.
	const polls = 4
	tick := time.NewTicker(polls * t.config.PollInterval.Std())
	defer tick.Stop()
	for {
		for _, s := range t.found() {
			if f, added := t.add(s, true); added {
				t.log.Info("access log found", "path", s.Path, "gateway", s.Gateway)
				follow(f)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// found gives the logs that match a glob now, and those that were followed before a
// restart: of these a rotated file may be left alone.
func (t *Tailer) found() []Source {
	known := map[string]bool{}
	for _, f := range t.all() {
		known[f.source.Path] = true
	}
	t.mu.Lock()
	resumed := make([]string, 0, len(t.resume))
	for path := range t.resume {
		resumed = append(resumed, path)
	}
	t.mu.Unlock()
	slices.Sort(resumed)
	var sources []Source
	for _, glob := range t.config.Globs {
		names, _ := filepath.Glob(glob.Path) // its one error is a bad pattern
		for _, path := range logsOf(glob.Path, names, resumed, known) {
			known[path] = true
			s := glob
			s.Path = path
			if s.Gateway == "" {
				s.Gateway = GatewayOf(glob.Path, path)
			}
			sources = append(sources, s)
		}
	}
	return sources
}

// logsOf gives the paths of the logs that names, matches of pattern, belong to, and
// of the resumed ones that match, without those that are known.
func logsOf(pattern string, names, resumed []string, known map[string]bool) []string {
	names = slices.DeleteFunc(names, compressed)
	there := map[string]bool{}
	for _, name := range slices.Concat(names, resumed) {
		there[name] = true
	}
	for path := range known {
		there[path] = true
	}
	var logs []string
	for _, name := range slices.Concat(names, resumed) {
		path := liveOf(name, there)
		matches, _ := filepath.Match(pattern, path)
		if matches && !known[path] && !slices.Contains(logs, path) {
			logs = append(logs, path)
		}
	}
	return logs
}

// liveOf gives the log that a file belongs to: itself, unless it is named as a
// rotated one of a log that is there, or as this package rotates.
func liveOf(name string, there map[string]bool) string {
	for i := len(name) - 2; i > 0 && name[i] != filepath.Separator; i-- {
		if !rotated(name[i:]) {
			continue
		}
		if there[name[:i]] || name[i] == '.' && len(name[i:]) == 1+sequenceDigits {
			return name[:i]
		}
	}
	return name
}

func compressed(name string) bool {
	return slices.Contains([]string{".gz", ".zst", ".bz2", ".xz", ".lz4"}, filepath.Ext(name))
}

// GatewayOf is the name of the gateway that writes the log at path, which a glob
// found: the part of the path in the place of the glob's last wildcard, without its
// extension if that is the name of the file. So /logs/*/access.log gives the folder
// and /logs/*.log the file's stem. A path without wildcards gives the stem too.
func GatewayOf(glob, path string) string {
	patterns := strings.Split(filepath.Clean(glob), string(filepath.Separator))
	parts := strings.Split(filepath.Clean(path), string(filepath.Separator))
	for i := len(patterns) - 2; i >= 0 && len(patterns) == len(parts); i-- {
		if IsGlob(patterns[len(patterns)-1]) {
			break
		}
		if IsGlob(patterns[i]) {
			return parts[i]
		}
	}
	name := parts[len(parts)-1]
	if stem := strings.TrimSuffix(name, filepath.Ext(name)); stem != "" {
		return stem
	}
	return name
}

// IsGlob tells whether path has wildcards, as filepath.Match understands them.
func IsGlob(path string) bool { return strings.ContainsAny(path, `*?[\`) }
