package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/kongdao/kongdao/alerting/rule"
	"github.com/kongdao/kongdao/api"
)

const (
	// ruleFilesEvery is how often files of rules are looked at.
	ruleFilesEvery = 2 * time.Second
	// mostRuleFile bounds one of them.
	mostRuleFile = 16 << 20
)

// ruleBook is all rule texts that users wrote: in resources, and in files.
type ruleBook struct {
	patterns []string

	mu        sync.Mutex
	resources map[string]string
	files     map[string]string // by path
}

// texts are all of them, by name; a resource of a file's name goes before it.
func (b *ruleBook) texts() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := maps.Clone(b.files)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, b.resources)
	return all
}

func (b *ruleBook) set(resources map[string]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resources = resources
}

// read reads the files anew and says whether anything changed. One that cannot be
// read stays as it was.
func (b *ruleBook) read() (changed bool, err error) {
	paths := map[string]bool{}
	var errs []error
	for _, p := range b.patterns {
		found, err := filepath.Glob(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p, err))
		}
		for _, f := range found {
			paths[f] = true
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := make(map[string]string, len(paths))
	for path := range paths {
		if old, known := b.files[path]; b.files != nil && beingWritten(path) {
			if known {
				next[path] = old
			}
			continue
		}
		text, err := readRules(path)
		if err != nil {
			errs = append(errs, err)
			text = b.files[path]
		}
		if text != "" {
			next[path] = text
		}
	}
	changed = !maps.Equal(next, b.files)
	b.files = next
	return changed, errors.Join(errs...)
}

// beingWritten says that a file changed just now: its writer may not be done.
func beingWritten(path string) bool {
	info, err := os.Stat(path)
	return err == nil && time.Since(info.ModTime()).Abs() < ruleFilesEvery/4
}

func readRules(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read rules: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, mostRuleFile+1))
	err = errors.Join(err, f.Close())
	if err == nil && len(text) > mostRuleFile {
		err = fmt.Errorf("larger than %d MiB", mostRuleFile>>20)
	}
	if err != nil {
		return "", fmt.Errorf("read rules %s: %w", path, err)
	}
	return string(text), nil
}

// startRules reads all rules for the first time. A file that is wrong is left out
// and named, so that the others run; it is taken up when it is right.
func (s *System) startRules(set api.Set) map[string]string {
	s.rules = &ruleBook{patterns: s.cfg.Alerting.RuleFiles}
	s.rules.set(ruleTexts(set))
	if _, err := s.rules.read(); err != nil {
		s.log.Error("rules not read", "error", err)
	}
	texts := s.rules.texts()
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if err := rule.Check(texts[name]); err != nil {
			s.log.Error("rules left out", "rules", name, "error", err)
			delete(texts, name)
		}
	}
	return texts
}

// followRuleFiles takes up changed files until ctx ends.
func (s *System) followRuleFiles(ctx context.Context) error {
	tick := time.NewTicker(ruleFilesEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		changed, err := s.rules.read()
		if text := fmt.Sprint(err); err != nil && text != said {
			s.log.Error("rules not read", "error", err)
			said = text
		}
		if changed {
			s.applyRules(slog.LevelInfo)
		}
	}
}

func (s *System) applyRules(level slog.Level) {
	texts := s.rules.texts()
	if err := s.alerting.SetRules(texts); err != nil {
		s.log.Error("rules not changed", "error", err)
		return
	}
	s.log.Log(context.Background(), level, "rules taken up", "texts", len(texts))
}
