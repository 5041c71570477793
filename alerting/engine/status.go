package engine

import (
	"bytes"
	"encoding/json"
	"net/http"
	"runtime/debug"
	"strings"

	amconfig "github.com/prometheus/alertmanager/config"
	"go.yaml.in/yaml/v3"
)

// status is API v2's, told so that an amtool reads it that is older than these
// pieces: amtool refuses keys that it does not know, and Alertmanager names every
// default. What is left out says the same as what is there.
func (e *Engine) status(w http.ResponseWriter, r *http.Request) {
	var answer captured
	e.api.Handler.ServeHTTP(&answer, r)
	var all map[string]any
	if err := json.Unmarshal(answer.Bytes(), &all); answer.code == 0 && err == nil {
		if conf, ok := all["config"].(map[string]any); ok {
			text, _ := conf["original"].(string)
			conf["original"] = withoutDefaults(text)
		}
		if v, ok := all["versionInfo"].(map[string]any); ok && v["version"] == "" {
			v["version"] = alertmanagerVersion()
		}
		if text, err := json.Marshal(all); err == nil {
			answer.Reset()
			answer.Write(text)
		}
	}
	for name, values := range answer.header {
		if name != "Content-Length" {
			w.Header()[name] = values
		}
	}
	if answer.code != 0 {
		w.WriteHeader(answer.code)
	}
	_, _ = w.Write(answer.Bytes()) // who asked is gone
}

// captured keeps an answer in memory.
type captured struct {
	bytes.Buffer
	header http.Header
	code   int // 0: 200
}

func (c *captured) Header() http.Header {
	if c.header == nil {
		c.header = http.Header{}
	}
	return c.header
}

func (c *captured) WriteHeader(code int) {
	if code != http.StatusOK {
		c.code = code
	}
}

// withoutDefaults leaves out of a configuration what every configuration has: global
// values that nobody set, and what is empty. A text that it cannot read it returns.
func withoutDefaults(text string) string {
	var doc, usual yaml.Node
	global := amconfig.DefaultGlobalConfig()
	ours := amconfig.Config{Global: &global}
	if yaml.Unmarshal([]byte(text), &doc) != nil || yaml.Unmarshal([]byte(ours.String()), &usual) != nil || len(doc.Content) == 0 || len(usual.Content) == 0 {
		return text
	}
	defaults := map[string]string{}
	if g := value(usual.Content[0], "global"); g != nil {
		for i := 0; i+1 < len(g.Content); i += 2 {
			defaults[g.Content[i].Value] = encode(g.Content[i+1])
		}
	}
	if g := value(doc.Content[0], "global"); g != nil {
		drop(g, func(key string, v *yaml.Node) bool { return defaults[key] == encode(v) })
	}
	if rs := value(doc.Content[0], "receivers"); rs != nil {
		for _, r := range rs.Content {
			dropOwnName(r)
		}
	}
	dropEmpty(doc.Content[0])
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if enc.Encode(&doc) != nil {
		return text
	}
	return out.String()
}

func value(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func encode(n *yaml.Node) string {
	text, err := yaml.Marshal(n)
	if err != nil {
		return ""
	}
	return string(text)
}

// drop takes pairs out of a mapping.
func drop(mapping *yaml.Node, yes func(key string, v *yaml.Node) bool) {
	var kept []*yaml.Node
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if !yes(mapping.Content[i].Value, mapping.Content[i+1]) {
			kept = append(kept, mapping.Content[i], mapping.Content[i+1])
		}
	}
	mapping.Content = kept
}

// dropOwnName takes the label out of a receiver that every receiver has: its name.
func dropOwnName(receiver *yaml.Node) {
	labels, name := value(receiver, "labels"), value(receiver, "name")
	if labels == nil || name == nil {
		return
	}
	drop(labels, func(key string, v *yaml.Node) bool { return key == "name" && v.Value == name.Value })
}

func dropEmpty(n *yaml.Node) {
	for _, c := range n.Content {
		dropEmpty(c)
	}
	if n.Kind == yaml.MappingNode {
		drop(n, func(_ string, v *yaml.Node) bool { return v.Kind != yaml.ScalarNode && len(v.Content) == 0 })
	}
}

// alertmanagerVersion is that of the pieces, such as 0.34.2.
func alertmanagerVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/prometheus/alertmanager" {
				return strings.TrimPrefix(m.Version, "v")
			}
		}
	}
	return ""
}
