package registry

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
)

const (
	sample = "../deploy/sample/resources"
	// loadSample has stress tests whose data files stand beside them.
	loadSample = "../deploy/sample/load"
)

// TestSample: the shipped resources are right, and there is one of every kind.
func TestSample(t *testing.T) {
	set, problems := Load(sample)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	kinds := reflect.ValueOf(set)
	for i := range kinds.NumField() {
		if name := kinds.Type().Field(i).Name; name != "Broken" && kinds.Field(i).Len() == 0 {
			t.Errorf("the sample has no %s", kinds.Type().Field(i).Name)
		}
	}
}

// TestSampleShowsEveryKey: each key that a resource can have stands in the samples.
func TestSampleShowsEveryKey(t *testing.T) {
	var text strings.Builder
	files, _ := filepath.Glob(sample + "/*.yaml")
	more, _ := filepath.Glob(loadSample + "/*.yaml")
	for _, file := range append(files, more...) {
		data, err := os.ReadFile(file)
		testkit.Must(t, err)
		text.Write(data)
	}
	for _, key := range keysOf(reflect.TypeFor[api.Set]()) {
		if !regexp.MustCompile(`[\s{]` + key + `:\s`).MatchString(text.String()) {
			t.Errorf("the key %s is neither in %s nor in %s", key, sample, loadSample)
		}
	}
}

// keysOf are the yaml keys of a type and all types within it.
func keysOf(t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Slice, reflect.Pointer, reflect.Map:
		return keysOf(t.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	var keys []string
	for i := range t.NumField() {
		f := t.Field(i)
		if key := f.Tag.Get("yaml"); key != "-" {
			if key != "" {
				keys = append(keys, key)
			}
			keys = append(keys, keysOf(f.Type)...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// TestSampleRulesAreAlertRules: Prometheus itself accepts the rules.
func TestSampleRulesAreAlertRules(t *testing.T) {
	set, _ := Load(sample)
	for _, r := range set.AlertRules {
		_, errs := rulefmt.Parse([]byte(r.Spec.Groups), false, model.UTF8Validation, parser.NewParser(parser.Options{}), nil)
		if len(errs) > 0 {
			t.Errorf("%s: %v", r.Source, errs)
		}
	}
}
