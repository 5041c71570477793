// Package docs_test keeps the documents true: the reference of commands and of the
// call log is written from the code, the other pages are checked against it.
package docs_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/alerting/rule"
	"github.com/kongdao/kongdao/api"
	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/cli"
	"github.com/kongdao/kongdao/internal/config"
)

//go:generate go test -run Written -update .

var update = flag.Bool("update", false, "write the pages that are made from the code")

const written = "<!-- Written by go test ./docs -update. Do not edit. -->\n\n"

// golden compares a page with what the code says, or writes it.
func golden(t *testing.T, name, page string) {
	t.Helper()
	page = written + page
	if *update {
		if err := os.WriteFile(name, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(read(t, name), page); diff != "" {
		t.Errorf("%s is out of date, run go test ./docs -update (-have +want):\n%s", name, diff)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCommandsAreWritten(t *testing.T) {
	t.Setenv("KONGDAO_DATA", "")
	var page strings.Builder
	page.WriteString("# Commands\n\nWhat `--help` prints. Results go to standard output, everything else to standard error.\n")
	describe(t, &page, nil)
	golden(t, "reference/commands.md", page.String())
}

// describe writes the help of a command and of those below it.
func describe(t *testing.T, page *strings.Builder, path []string) {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := cli.Main(context.Background(), "dev", append(path[:len(path):len(path)], "--help"), strings.NewReader(""), &out, &errOut); code != 0 {
		t.Fatalf("kongdao %s --help: exit code %d: %s", strings.Join(path, " "), code, errOut.String())
	}
	title := strings.TrimSpace("kongdao " + strings.Join(path, " "))
	fmt.Fprintf(page, "\n## %s\n\n```text\n%s```\n", title, out.String())
	for _, name := range commandsIn(out.String()) {
		if name != "help" && name != "completion" { // the library's own
			describe(t, page, append(path[:len(path):len(path)], name))
		}
	}
}

// commandsIn are the names under "Available Commands:".
func commandsIn(help string) (names []string) {
	_, list, _ := strings.Cut(help, "Available Commands:\n")
	for line := range strings.Lines(list) {
		name, _, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found {
			break
		}
		names = append(names, name)
	}
	return names
}

func TestCallsAreWritten(t *testing.T) {
	var page strings.Builder
	page.WriteString("# The table calls\n\nOne row a call, in ClickHouse. The rollups `calls_10s`, `calls_1m` and `calls_1h` are made from it.\n\n")
	page.WriteString("| column | type | what it says |\n|---|---|---|\n")
	for _, c := range calllog.Columns() {
		fmt.Fprintf(&page, "| `%s` | `%s` | %s |\n", c.Name, c.Type, c.Doc)
	}
	page.WriteString(beforeRollups)
	for _, r := range schema.Rollups() {
		fmt.Fprintf(&page, "| `%s` | %s | %s |\n", r.Name, strings.ToLower(r.Step), strings.ToLower(r.Keep))
	}
	page.WriteString(afterRollups)
	golden(t, "reference/calls.md", page.String())
}

const beforeRollups = `
Calls of load tests have their run in ` + "`load_test`" + `; real traffic has an empty one. A line that does not parse
is a row too, without a function and with what is wrong in ` + "`attrs`" + `.

## Rollups

Counts and ` + "`duration`" + ` are weighted by ` + "`sample_weight`" + `: a stored call counts as many as it stands for.

| table | interval | kept |
|---|---|---|
| ` + "`calls`" + ` | one row a call | 30 days |
`

const afterRollups = `
Columns: ` + "`t`" + ` (start of the interval), ` + "`tenant`, `function`, `load_test` (Bool), `revision`, `zone`, `status`, `calls`, `errors`" + ` (5xx),
` + "`refused`" + ` (a limit refused the call), ` + "`bytes_in`, `bytes_out`, `duration`" + ` (microseconds, relative error 1 %).

` + "```sql" + `
SELECT t, sum(calls), sum(errors), quantilesDDMerge(0.01, 0.5, 0.9, 0.99)(duration) AS us
FROM calls_1m
WHERE function = 'recommend-feed' AND NOT load_test AND t > now() - INTERVAL 1 HOUR
GROUP BY t ORDER BY t
` + "```" + `
`

// sameAs are parts of a resource that have the keys of another part, and are
// described there.
var sameAs = strings.NewReplacer(
	"spec.scenarios.stages.", "spec.stages.", "spec.scenarios.targets.", "spec.targets.",
	"spec.scenarios.steps.", "spec.targets.", "spec.steps.", "spec.targets.",
)

// TestResourcesNameEveryKey and its sibling look for each key in backquotes.
func TestResourcesNameEveryKey(t *testing.T) {
	page := read(t, "reference/resources.md")
	for _, kind := range []any{api.Function{}, api.Zone{}, api.GatewayGroup{}, api.Consumer{}, api.Limit{}, api.Robot{}, api.Scenario{}, api.Certificate{}, api.Person{}, api.Team{}, api.OnCall{}} {
		for _, key := range keys(reflect.TypeOf(kind), "") {
			if !strings.Contains(page, "`"+sameAs.Replace(key)+"`") {
				t.Errorf("resources.md does not name `%s` of %T", key, kind)
			}
		}
	}
}

func TestConfigurationNamesEveryKey(t *testing.T) {
	page := read(t, "reference/configuration.md")
	for _, key := range keys(reflect.TypeOf(config.Config{}), "") {
		if !strings.Contains(page, "`"+key+"`") {
			t.Errorf("configuration.md does not name `%s`", key)
		}
	}
}

// keys are the YAML keys of a struct that hold values, with dots; a list is its
// element, and so is a mapping to structs, under NAME.
func keys(t reflect.Type, prefix string) (all []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct {
		t, prefix = t.Elem(), prefix+"NAME."
	}
	if t.Kind() != reflect.Struct {
		return []string{strings.TrimSuffix(prefix, ".")}
	}
	for i := range t.NumField() {
		key := t.Field(i).Tag.Get("yaml")
		if key != "" && key != "-" {
			all = append(all, keys(t.Field(i).Type, prefix+key+".")...)
		}
	}
	return all
}

var (
	runbook = regexp.MustCompile(`runbook: *(\S+)`)
	metric  = regexp.MustCompile(`kongdao_[a-z0-9_]+`)
)

func TestShippedRulesAreDocumented(t *testing.T) {
	metrics := read(t, "reference/metrics.md")
	for name, text := range rule.Pack() {
		for _, m := range runbook.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("rules %s: %v", name, err)
			}
		}
		for _, m := range metric.FindAllString(text, -1) {
			if !strings.Contains(metrics, "`"+strings.TrimSuffix(m, "_bucket")+"`") {
				t.Errorf("metrics.md does not name `%s`, which rules %s read", m, name)
			}
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	pages := []string{"../README.md", "../ARCHITECTURE.md", "../CONTRIBUTING.md", "../CHANGELOG.md"}
	err := filepath.WalkDir(".", func(name string, _ fs.DirEntry, err error) error {
		if filepath.Ext(name) == ".md" {
			pages = append(pages, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}
