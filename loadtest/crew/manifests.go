package crew

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/template"
)

// Manifests is a run on Kubernetes: a Job that coordinates, a Service by which agents
// find it, and a Job with a pod for each agent, on nodes of their own.
type Manifests struct {
	Name      string   // of the scenario, and of all objects with "load-" before it
	Scenario  string   // the file's text
	Agents    int      // pods
	Image     string   // with kongdao as its entry point
	Namespace string   // empty: that of kubectl
	Allow     []string // targets that agents may attack
	CPU       string   // of each agent; empty: 2
	Memory    string   // of each agent; empty: 1Gi
}

// Port is where the coordinator listens.
const Port = 7070

//go:embed manifests.yaml
var manifestsText string

var manifests = template.Must(template.New("manifests").Funcs(template.FuncMap{
	"indent": func(s string) string { return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ") },
	"quote":  func(s string) string { return fmt.Sprintf("%q", s) },
}).Parse(manifestsText))

var (
	objectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`)
	imageName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:@-]*$`)
)

// Write writes them as YAML.
func (m Manifests) Write(w io.Writer) error {
	var errs []error
	check := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New(text))
		}
	}
	check(objectName.MatchString(m.Name), "name: want at most 42 of a-z, 0-9 and -, as objects in Kubernetes are named")
	check(m.Agents > 0 && m.Agents <= 1000, "agents: want 1 to 1000")
	check(imageName.MatchString(m.Image), "image: want the name of an image")
	check(m.Namespace == "" || objectName.MatchString(m.Namespace), "namespace: want a name")
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if m.CPU == "" {
		m.CPU = "2"
	}
	if m.Memory == "" {
		m.Memory = "1Gi"
	}
	return manifests.Execute(w, struct {
		Manifests
		Port int
	}{m, Port})
}
