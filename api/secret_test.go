package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// TestSecretNeverShows: no verb, encoder or logger prints a secret.
func TestSecretNeverShows(t *testing.T) {
	const hidden = "hunter2"
	robot := &Robot{Metadata: Metadata{Name: "r"}, Spec: RobotSpec{URL: hidden, Secret: hidden}}
	set := Set{Robots: []*Robot{robot}, Consumers: []*Consumer{{Spec: ConsumerSpec{Keys: []Secret{hidden}}}}}
	shown := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		shown[verb] = fmt.Sprintf(verb, robot.Spec.Secret) + fmt.Sprintf(verb, robot.Spec) + fmt.Sprintf(verb, *robot) + fmt.Sprintf(verb, *set.Consumers[0])
	}
	out, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	shown["json"] = string(out)
	if out, err = yaml.Marshal(robot.Spec); err != nil {
		t.Fatal(err)
	}
	shown["yaml"] = string(out)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "secret", robot.Spec.Secret, "spec", robot.Spec)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "secret", robot.Spec.Secret, "spec", robot.Spec)
	shown["slog"] = log.String()
	hex := fmt.Sprintf("%x", hidden)
	for how, text := range shown {
		if strings.Contains(text, hidden) || strings.Contains(strings.ToLower(text), hex) {
			t.Errorf("%s shows the secret: %s", how, text)
		}
		if !strings.Contains(strings.ReplaceAll(text, `\u003c`, "<"), "<secret") {
			t.Errorf("%s does not say that there is a secret: %s", how, text)
		}
	}
	if got := fmt.Sprint(Secret("")); got != "" {
		t.Errorf("no secret prints as %q", got)
	}
}

func TestSecretRefs(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "[]",
		"plain":                     "[]",
		"${env:A}":                  "[${env:A}]",
		"a${env:A_1}b${file:/x/y}c": "[${env:A_1} ${file:/x/y}]",
		"${env:}":                   "malformed",
		"${env:1A}":                 "malformed",
		"${env:A":                   "malformed",
		"${A}":                      "malformed",
		"${file:a b}":               "malformed",
	} {
		refs, err := Secret(text).Refs()
		got := fmt.Sprint(refs)
		if err != nil {
			got = "malformed"
		}
		if got != want {
			t.Errorf("Refs(%q) = %s, want %s", text, got, want)
		}
	}
}
