package config

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/api"
)

var update = flag.Bool("update", false, "rewrite golden files")

const sample = "../../deploy/sample/kongdao.yaml"

func TestDefaultIsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	if c, problems := Parse("empty.yaml", nil); len(problems) > 0 || !cmp.Equal(c, Default()) {
		t.Errorf("an empty file gives %v, %v, want the defaults", c, problems)
	}
}

// TestSampleIsTheDefaults: what the sample shows as defaults are the defaults.
func TestSampleIsTheDefaults(t *testing.T) {
	c, problems := Load(sample)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := Default()
	want.ResourcesDir = "deploy/sample/resources" // the comment beside it says so
	want.Alerting.Targets, want.Alerting.ForwardTo, want.Alerting.Cluster.Peers, want.Alerting.Escalation.To = []string{}, []string{}, []string{}, []string{}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSampleDocumentsEveryKey: each key stands in the sample, at its place and
// with a comment beside or above it.
func TestSampleDocumentsEveryKey(t *testing.T) {
	data, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Split(string(data), "\n")
	var c Config
	lines, _ := api.Decode(sample, data, &c)
	for _, key := range keys(reflect.TypeFor[Config](), "") {
		line := lines.At(key)
		if !strings.HasPrefix(strings.TrimSpace(text[line-1]), key[strings.LastIndex(key, ".")+1:]+":") {
			t.Errorf("%s is not in %s", key, sample)
			continue
		}
		beside := regexp.MustCompile(`\s#\s`).MatchString(text[line-1])
		above := strings.HasPrefix(strings.TrimSpace(text[line-2]), "#")
		if !beside && !above && key != "log" {
			t.Errorf("%s:%d: %s has no comment", sample, line, key)
		}
	}
}

func keys(t reflect.Type, prefix string) []string {
	var all []string
	for i := range t.NumField() {
		f := t.Field(i)
		key := prefix + f.Tag.Get("yaml")
		all = append(all, key)
		if f.Type.Kind() == reflect.Struct {
			all = append(all, keys(f.Type, key+".")...)
		}
	}
	return all
}

// TestBad: each file is a case, the .txt beside it is exactly what is said.
func TestBad(t *testing.T) {
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	if len(files) == 0 {
		t.Fatal("no files")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, problems := Parse(filepath.Base(file), data)
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			got := problems.Error() + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("a secret is shown")
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	_, problems := Load("testdata/nowhere.yaml")
	if got, want := problems.Error(), "testdata/nowhere.yaml: cannot be read: no such file or directory"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDecodeKeepsDefaults(t *testing.T) {
	v := struct {
		Name  string `yaml:"name"`
		Count int    `yaml:"count"`
	}{Name: "kept"}
	problems := Decode("x.yaml", []byte("count: 3\n"), &v)
	if len(problems) > 0 || v.Name != "kept" || v.Count != 3 {
		t.Errorf("got %+v, %v", v, problems)
	}
	problems = Decode("x.yaml", []byte("\nconut: 3\n"), &v)
	if got, want := problems.Error(), `x.yaml:2: conut: unknown key, did you mean "count"?`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAlertmanagerFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "alertmanager.yml")
	if err := os.WriteFile(file, []byte("route: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"": "", file: "route: {}\n"} {
		if got, err := (Alerting{AlertmanagerConfig: path}).Alertmanager(); err != nil || got != want {
			t.Errorf("%q gives %q, %v", path, got, err)
		}
	}
	if _, err := (Alerting{AlertmanagerConfig: file + "x"}).Alertmanager(); err == nil || !strings.HasPrefix(err.Error(), "alerting.alertmanagerConfig: ") {
		t.Errorf("error is %v, want the field named", err)
	}
}

func TestTenantsHaveDefaults(t *testing.T) {
	c, problems := Parse("t.yaml", []byte("tenants: {a: {sample: 0.33}, b: {slow: 3s}}\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := map[string]Tenant{"a": {0.33, api.Duration(time.Second), 0}, "b": {1, api.Duration(3 * time.Second), 0}}
	if diff := cmp.Diff(want, c.Tenants); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if a, b := c.Tenants["a"].SampleOneIn(), c.Tenants["b"].SampleOneIn(); a != 3 || b != 1 {
		t.Errorf("one in %d and %d, want 3 and 1", a, b)
	}
}
