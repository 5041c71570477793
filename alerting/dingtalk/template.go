package dingtalk

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"
)

//go:embed messages.tmpl
var shipped string

// Shipped are the templates that messages are written with, for users to begin
// their own from.
func Shipped() string { return shipped }

// Bounds of what a template may do. A message may have a few parts of [MaxBytes],
// and needs a step for each line.
const (
	maxTemplate = 64 << 10
	maxOutput   = 256 << 10
	maxSteps    = 5000
)

// Templates are users' own texts of messages. They may be used from several
// goroutines.
type Templates struct {
	set    *template.Template
	failed func(error)
}

// ParseTemplates reads Go templates that are given a [View]. What they define
// replaces what is shipped: "title", "markdown", "text" and "actionCard", or, for
// one language alone, such as "markdown.en". Each is tried once; failed is told
// when one fails on a real message, which is then written with the shipped one.
func ParseTemplates(text string, failed func(error)) (*Templates, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("templates: %d bytes, must be at most %d", len(text), maxTemplate)
	}
	set, err := parseSet(shipped, text)
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	t := &Templates{set, failed}
	for _, v := range []View{{Firing: true, Lang: Chinese}, {Lang: English, Facts: []Fact{{}}, Items: []string{""}, Actions: []Link{{}}, Links: []Link{{}}, Notes: []string{""}}} {
		for _, name := range []string{"title", string(Markdown), string(Text), string(ActionCard)} {
			if _, err := t.execute(name, v); err != nil {
				return nil, fmt.Errorf("templates: %w", err)
			}
		}
	}
	return t, nil
}

func parseSet(texts ...string) (*template.Template, error) {
	set := template.New("messages").Funcs(template.FuncMap{"links": markdownLinks, "join": strings.Join, "step": func() (string, error) { return "", nil }})
	for _, text := range texts {
		if _, err := set.Parse(text); err != nil {
			return nil, err
		}
	}
	for _, t := range set.Templates() {
		if t.Tree != nil {
			countSteps(t.Root)
		}
	}
	return set, nil
}

// countSteps makes templates and loops count their steps: templates can neither
// be interrupted nor told to stop, and loops over numbers and calls of calls can
// last for years.
func countSteps(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.RangeNode:
			countSteps(n.List)
			countSteps(n.ElseList)
		case *parse.IfNode:
			countSteps(n.List)
			countSteps(n.ElseList)
		case *parse.WithNode:
			countSteps(n.List)
			countSteps(n.ElseList)
		}
	}
	call := &parse.CommandNode{NodeType: parse.NodeCommand, Args: []parse.Node{parse.NewIdentifier("step")}}
	pipe := &parse.PipeNode{NodeType: parse.NodePipe, Cmds: []*parse.CommandNode{call}}
	list.Nodes = append([]parse.Node{&parse.ActionNode{NodeType: parse.NodeAction, Pipe: pipe}}, list.Nodes...)
}

// execute writes one template, that of the language first. The templates come
// from outside, and no mistake of theirs may stop the process.
func (t *Templates) execute(name string, v View) (text string, err error) {
	defer func() {
		if p := recover(); p != nil {
			text, err = "", fmt.Errorf("template %s: %v", name, p)
		}
	}()
	set, err := t.set.Clone()
	if err != nil {
		return "", fmt.Errorf("template %s: %w", name, err)
	}
	steps := 0
	set.Funcs(template.FuncMap{"step": func() (string, error) {
		if steps++; steps > maxSteps {
			return "", fmt.Errorf("takes more than %d steps", maxSteps)
		}
		return "", nil
	}})
	own := set.Lookup(name + "." + v.Lang)
	if own == nil {
		own = set.Lookup(name)
	}
	var b bounded
	if err := own.Execute(&b, v); err != nil {
		return "", err
	}
	return tidy(b.String()), nil
}

// bounded refuses what no message can hold.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("writes more than %d bytes", maxOutput)
	}
	return b.Buffer.Write(p)
}

var (
	spaces = regexp.MustCompile(`[ \t\r]+\n`)
	blanks = regexp.MustCompile(`\n{3,}`)
)

// tidy drops what the lines of a template leave behind.
func tidy(s string) string {
	s = spaces.ReplaceAllString(strings.ToValidUTF8(s, "\uFFFD"), "\n")
	return strings.TrimSpace(blanks.ReplaceAllString(s, "\n\n"))
}

// write makes the message. Whatever users' templates leave out, it names whom it
// mentions and carries its mark.
func (r Renderer) write(v View, mentions bool) Message {
	m := Message{Type: r.Type}
	if m.Type == ActionCard {
		m.Buttons = append(append(m.Buttons, v.Actions...), v.Links...)
		if mentions && v.Firing || len(m.Buttons) == 0 {
			m.Type, m.Buttons = Markdown, nil
		}
	}
	name := orElse(string(m.Type), string(Markdown))
	var err error
	if m.Title, m.Text, err = r.Templates.both(name, v); err == nil && m.Title != "" && m.Text != "" {
		m.Text = complete(m.Text, v)
		return m
	}
	if err == nil {
		err = errors.New("template: writes nothing")
	}
	if r.Templates != nil && r.Templates.failed != nil {
		r.Templates.failed(err)
	}
	return r.fallBack(m, name, v)
}

func (r Renderer) fallBack(m Message, name string, v View) Message {
	ours := &Templates{}
	var err error
	if m.Title, m.Text, err = ours.both(name, v); err != nil { // cannot be: tests write every shipped template
		m.Title = v.Title()
		m.Text = complete(v.Title()+"\n\n"+v.Summary, v)
	}
	return m
}

// both writes title and text; a nil t, or one without templates, the shipped ones.
func (t *Templates) both(name string, v View) (title, text string, err error) {
	if t == nil || t.set == nil {
		set, err := parseSet(shipped)
		if err != nil {
			return "", "", err
		}
		t = &Templates{set: set}
	}
	title, err = t.execute("title", v)
	if err != nil {
		return "", "", err
	}
	text, err = t.execute(name, v)
	return strings.Join(strings.Fields(title), " "), text, err
}

func complete(text string, v View) string {
	for _, word := range strings.Fields(v.Mentions) {
		if !strings.Contains(text, word) {
			text += "\n\n" + v.Mentions
			break
		}
	}
	if !strings.Contains(text, v.Mark) {
		text += "\n\n" + v.Ref + " " + v.Mark
	}
	return text
}

func markdownLinks(links []Link) string {
	all := make([]string, len(links))
	for i, l := range links {
		all[i] = "[" + l.Text + "](" + l.URL + ")"
	}
	return strings.Join(all, " · ")
}
