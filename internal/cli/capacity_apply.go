package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/apply"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/registry"
)

type applyFlags struct {
	run, result, resources string
	maxAge                 time.Duration
	yes, force             bool
}

// applied is what capacity apply prints with -o json.
type applied struct {
	Function string         `json:"function"`
	File     string         `json:"file"`
	Limit    apply.Limit    `json:"limit"`
	Diff     string         `json:"diff"` // empty: the file says so already
	Refused  []apply.Reason `json:"refused"`
	Notes    []string       `json:"notes"` // what could not be looked at
	Written  bool           `json:"written"`
}

func (e *env) capacityApplyCommand() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use: "apply FN", Short: "make the measured safe rate the function's limit",
		Long: `Apply writes the lower bound that kongdao capacity find has measured into the
function's resource file: spec.capacity.perPodQPS, and spec.capacity.measured with
date, interval, run and revision. It prints the change as a diff; --yes writes it.
Nothing else in the file changes, not a comment either.

It refuses a result that proved nothing, that is older than --max-age, of a revision
that does not serve, or that is below what pods are offered now: exit code 3, with
what mends each. --force writes all the same.

The result is the last one that was found of the function, that of --run, or that of
--result, a file as kongdao capacity find -o json prints it. With --result and
--resources no system needs to run; which revision serves is then what the file says.`,
		Example: `  kongdao capacity apply recommend-feed
  kongdao capacity apply recommend-feed --run lt-5f0c1b2a3d4e --yes
  kongdao capacity find recommend-feed -o json > found.json
  kongdao capacity apply recommend-feed --result found.json --resources resources/`,
		Args: usage(cobra.ExactArgs(1)), ValidArgsFunction: e.completeFunctions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.run != "" && f.result != "" {
				return invalid(errors.New("--run and --result: want one of them"))
			}
			if f.maxAge < 0 {
				return invalid(fmt.Errorf("--max-age: is %v, want 0 or more", f.maxAge))
			}
			return e.apply(cmd.Context(), args[0], f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.run, "run", "", "the result of this search (default: the last of the function)")
	fl.StringVar(&f.result, "result", "", "take the result from this file, - for standard input")
	fl.StringVar(&f.resources, "resources", "", "folder of resources to change (default: the file that the running system has read)")
	fl.DurationVar(&f.maxAge, "max-age", 0, "how old a result may be (default: capacity.maxAge of the running system, else 90 days)")
	fl.BoolVar(&f.yes, "yes", false, "write the file")
	fl.BoolVar(&f.force, "force", false, "whatever speaks against it")
	return cmd
}

func (e *env) apply(ctx context.Context, name string, f applyFlags) error {
	c, err := e.connect()
	if err != nil && (f.result == "" || f.resources == "" || !errors.Is(err, app.ErrNotRunning)) {
		return err
	}
	found, err := e.found(ctx, c, name, f)
	if err != nil {
		return err
	}
	fn, err := written(ctx, c, name, f.resources)
	if err != nil {
		return err
	}
	a := applied{Function: name, File: fn.Source.File, Limit: found.Limit(), Refused: []apply.Reason{}, Notes: []string{}}
	facts, err := a.facts(ctx, c, fn, f)
	if err != nil {
		return err
	}
	a.Refused = append(a.Refused, apply.Judge(found, facts)...)
	before, after, err := a.edit()
	if err != nil {
		return err
	}
	if f.yes && a.Diff != "" && (len(a.Refused) == 0 || f.force) {
		if err := overwrite(a.File, before, after); err != nil {
			return err
		}
		a.Written = true
	}
	if err := e.print(a, func(w io.Writer) { a.text(w, e.err, f) }); err != nil {
		return err
	}
	if len(a.Refused) > 0 && !f.force {
		return refused(nil)
	}
	return nil
}

// found is the result to apply.
func (e *env) found(ctx context.Context, c *client, name string, f applyFlags) (r apply.Found, err error) {
	if f.result == "" {
		return foundBefore(ctx, c, name, f.run)
	}
	var text []byte
	if f.result == "-" {
		text, err = io.ReadAll(e.in)
	} else {
		text, err = os.ReadFile(f.result)
	}
	if err != nil {
		return r, invalid(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, invalid(fmt.Errorf("%s: is no result of kongdao capacity find -o json: %w", f.result, err))
	}
	return r, usable(r, name, f.result)
}

func foundBefore(ctx context.Context, c *client, name, run string) (r apply.Found, err error) {
	var list app.FoundList
	query := url.Values{"function": {name}}
	if run != "" {
		query = url.Values{"run": {run}}
	}
	if err := c.do(ctx, http.MethodGet, "/capacity/found", query, nil, &list); err != nil {
		return r, err
	}
	switch {
	case len(list.Found) > 0:
		return list.Found[0], usable(list.Found[0], name, "run "+list.Found[0].Run)
	case run != "":
		return r, invalid(fmt.Errorf("--run: there is no result of a search %s", run))
	}
	return r, refused(fmt.Errorf("nothing was found of %s yet: kongdao capacity find %s", name, name))
}

// usable refuses what no --force makes a limit of.
func usable(r apply.Found, name, from string) error {
	switch {
	case r.Function != name:
		return invalid(fmt.Errorf("%s: is of function %q, not of %s", from, r.Function, name))
	case !(r.Safe > 0) || math.IsInf(r.Safe, 1):
		return refused(fmt.Errorf("%s: found no safe rate: kongdao capacity find %s --budget 5m", from, name))
	case r.High != 0 && r.High < r.Safe:
		return invalid(fmt.Errorf("%s: its interval ends before it begins", from))
	}
	return nil
}

// written is the function as its file has it.
func written(ctx context.Context, c *client, name, dir string) (*api.Function, error) {
	if dir != "" {
		set, problems := registry.Load(dir)
		if f := set.Function(name); f != nil {
			return f, nil
		}
		if len(problems) > 0 {
			return nil, problems
		}
		return nil, invalid(fmt.Errorf("--resources: there is no function %s in %s", name, dir))
	}
	var fn app.Function
	if err := c.do(ctx, http.MethodGet, "/functions/"+url.PathEscape(name), nil, nil, &fn); err != nil {
		return nil, err
	}
	if _, err := os.Stat(fn.Function.Source.File); err != nil {
		return nil, invalid(fmt.Errorf("the running system has read function %s from %s, which is not here: name the folder with --resources", name, fn.Function.Source.File))
	}
	return fn.Function, nil
}

// facts are what the result is held against.
func (a *applied) facts(ctx context.Context, c *client, fn *api.Function, f applyFlags) (apply.Facts, error) {
	x := apply.Facts{Now: time.Now(), MaxAge: config.Default().Capacity.MaxAge.Std(), Offered: math.NaN(), Headroom: fn.Spec.Capacity.Headroom, Images: map[string]string{}}
	for _, r := range fn.Spec.Revisions {
		x.Images[r.Name] = r.Image
	}
	if c == nil {
		x.Serving = servingOf(fn)
		a.Notes = append(a.Notes, "no system runs: which revisions serve is what the file says, and what pods are offered now is not known")
	} else {
		var o app.Offered
		if err := c.do(ctx, http.MethodGet, "/capacity/offered/"+url.PathEscape(fn.Name), nil, nil, &o); err != nil {
			return x, err
		}
		x.Serving, x.MaxAge = o.Serving, time.Duration(o.MaxAge*float64(time.Second))
		if x.Offered = o.PerPod; !o.Known {
			x.Offered = math.NaN()
			a.Notes = append(a.Notes, "what pods are offered now is not known: no pod is ready, or there are no call logs")
		}
	}
	if f.maxAge > 0 {
		x.MaxAge = f.maxAge
	}
	return x, nil
}

// servingOf are the revisions that get calls by the file.
func servingOf(f *api.Function) (all []apply.Serving) {
	for _, t := range f.Spec.Traffic {
		if t.Weight > 0 {
			all = append(all, apply.Serving{Revision: t.Revision, Percent: t.Weight})
		}
	}
	if n := len(f.Spec.Revisions); len(f.Spec.Traffic) == 0 && n > 0 {
		all = append(all, apply.Serving{Revision: f.Spec.Revisions[n-1].Name, Percent: 100})
	}
	return all
}

// edit fills in the diff.
func (a *applied) edit() (before, after []byte, err error) {
	if before, err = os.ReadFile(a.File); err != nil {
		return nil, nil, err
	}
	if after, err = apply.Edit(before, a.Function, a.Limit); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", a.File, err)
	}
	was, _ := api.Parse(a.File, before)
	is, problems := api.Parse(a.File, after)
	if len(problems) > 0 || is.Function(a.Function) == nil || was.Function(a.Function) == nil {
		return nil, nil, fmt.Errorf("%s: %w: %w", a.File, apply.ErrByHand, problems)
	}
	if !bytes.Equal(before, after) {
		from, to := "a/"+a.File, "b/"+a.File
		if filepath.IsAbs(a.File) {
			from, to = a.File, a.File
		}
		text := diff.Diff(from, before, to, after)
		_, hunks, _ := bytes.Cut(text, []byte("\n")) // its first line is for git alone
		a.Diff = string(hunks)
	}
	return before, after, nil
}

// overwrite replaces a file at once, unless somebody else has changed it meanwhile. A
// link stays one, and its permissions stay.
func overwrite(name string, before, after []byte) error {
	path, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(path), ".kongdao-*") // hidden: no resource file yet
	if err != nil {
		return err
	}
	_, err = out.Write(after)
	err = errors.Join(err, out.Chmod(info.Mode().Perm()), out.Sync(), out.Close())
	if now, readErr := os.ReadFile(path); err == nil && (readErr != nil || !bytes.Equal(now, before)) {
		err = fmt.Errorf("%s has changed meanwhile: nothing was written", name)
	}
	if err == nil {
		err = os.Rename(out.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return nil
}

func (a applied) text(out, notes io.Writer, f applyFlags) {
	fmt.Fprint(out, a.Diff)
	for _, n := range a.Notes {
		fmt.Fprintln(notes, n)
	}
	for _, r := range a.Refused {
		fmt.Fprintf(notes, "%s: %s; %s\n", r.Check, r.Why, r.Mend)
	}
	switch {
	case a.Diff == "":
		fmt.Fprintf(notes, "%s says so already\n", a.File)
	case a.Written:
		fmt.Fprintf(notes, "written to %s\n", a.File)
	case len(a.Refused) > 0 && !f.force:
		fmt.Fprintln(notes, "nothing was written; --force overrules")
	default:
		fmt.Fprintln(notes, "nothing was written; --yes writes it")
	}
}
