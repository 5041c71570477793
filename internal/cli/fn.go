package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
)

func (e *env) fnCommand() *cobra.Command {
	return group("fn", "functions and their calls", e.fnListCommand(), e.fnDescribeCommand(), e.fnInvokeCommand(), e.fnLogsCommand(),
		e.fnReleaseCommand(), e.fnRollbackCommand())
}

func (e *env) fnListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "all functions", Args: usage(cobra.NoArgs),
		Example: "  kongdao fn list\n  kongdao fn list -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := e.functions(cmd)
			if err != nil {
				return err
			}
			return e.print(list, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "FUNCTION\tTENANT\tROUTE\tREVISIONS\tREADY\tLIMIT/S")
				for _, f := range list.Functions {
					ready, total := podsOf(f)
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d/%d\t%s\n", f.Function.Name, f.Function.Tenant, firstRoute(f), revisions(f), ready, total, rate(f.State.Limit))
				}
				_ = t.Flush()
			})
		},
	}
}

func (e *env) functions(cmd *cobra.Command) (list app.FunctionList, err error) {
	c, err := e.connect()
	if err != nil {
		return list, err
	}
	return list, c.do(cmd.Context(), http.MethodGet, "/functions", nil, nil, &list)
}

// completeFunctions completes the names of functions of the running system.
func (e *env) completeFunctions(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	list, err := e.functions(cmd)
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, f := range list.Functions {
		names = append(names, f.Function.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func podsOf(f app.Function) (ready, total int) {
	for _, p := range f.State.Pods {
		ready, total = ready+p.Ready, total+p.Total
	}
	return ready, total
}

func firstRoute(f app.Function) string {
	r := f.Function.Spec.Routes[0]
	text := strings.Join(r.Hosts, ",") + r.Path
	if more := len(f.Function.Spec.Routes) - 1; more > 0 {
		text += fmt.Sprintf(" (+%d)", more)
	}
	return text
}

func revisions(f app.Function) string {
	var names []string
	for _, r := range f.Function.Spec.Revisions {
		names = append(names, r.Name)
	}
	return strings.Join(names, ",")
}

func rate(perSecond float64) string {
	if perSecond == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", perSecond)
}

// description is what fn describe prints with -o json.
type description struct {
	app.Function
	RecentCalls []app.Call `json:"recent_calls"`
	CallsError  string     `json:"calls_error,omitempty"` // why there are none
}

func (e *env) fnDescribeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "describe FN", Short: "one function: routes, revisions, pods, limit, recent calls",
		Example: "  kongdao fn describe recommend-feed",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: e.completeFunctions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			var d description
			if err := c.do(cmd.Context(), http.MethodGet, "/functions/"+url.PathEscape(args[0]), nil, nil, &d.Function); err != nil {
				return err
			}
			// A section that cannot be had must not hide the others.
			d.RecentCalls, err = c.calls(cmd.Context(), url.Values{"function": args, "limit": {"5"}}, 0)
			if err != nil {
				d.CallsError = err.Error()
			}
			return e.print(d, d.text)
		},
	}
}

func (d description) text(w io.Writer) {
	f := d.Function.Function
	fmt.Fprintf(w, "%s  (tenant %s, written in %s)\n", f.Name, f.Tenant, f.Source)
	if f.Spec.Description != "" {
		fmt.Fprintf(w, "  %s\n", f.Spec.Description)
	}
	for _, r := range f.Spec.Routes {
		fmt.Fprintf(w, "route     %s %s%s\n", strings.Join(r.Methods, ","), strings.Join(r.Hosts, ","), r.Path)
	}
	writeTraffic(w, f)
	writeRelease(w, d.Release)
	for _, p := range d.State.Pods {
		fmt.Fprintf(w, "pods      %s %s: %d of %d ready\n", p.Revision, p.Zone, p.Ready, p.Total)
	}
	for _, p := range d.State.Lifted {
		fmt.Fprintf(w, "lifted    %s %s: %.2f times its share, tried with live calls\n", p.Address, p.Zone, p.Factor)
	}
	fmt.Fprintf(w, "limit     %s/s\n", rate(d.State.Limit))
	if d.State.Invalid != "" {
		fmt.Fprintf(w, "not served: %s\n", d.State.Invalid)
	}
	if f.Spec.Access == nil {
		fmt.Fprintln(w, "access    closed: the gateway answers 403; add access to open it")
	}
	if d.CallsError != "" {
		fmt.Fprintf(w, "calls     not to be had: %s\n", d.CallsError)
	}
	for _, c := range d.RecentCalls {
		fmt.Fprint(w, "call      ")
		_ = writeCall(w, c)
	}
}

type invokeFlags struct {
	method, path, body string
	headers            []string
	timeout            time.Duration
	sign               string // consumer; empty: the request is not signed
}

// invocation is what fn invoke prints with -o json.
type invocation struct {
	Status    int         `json:"status"`
	Seconds   float64     `json:"seconds"`
	RequestID string      `json:"request_id,omitempty"`
	Headers   http.Header `json:"headers"`
	Body      string      `json:"body"`
}

func (e *env) fnInvokeCommand() *cobra.Command {
	var f invokeFlags
	cmd := &cobra.Command{
		Use: "invoke FN", Short: "call a function through the gateway",
		Long: `Invoke sends one request to a function's first route through the gateway and
prints the answer. Parameters of the route's path have to be filled in by --path.

Exit code 1 when the answer is 400 or above.`,
		Example: "  kongdao fn invoke recommend-feed\n  kongdao fn invoke rail-tour-detail --path /rail/tours/7 -H 'x-gray: 1'",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: e.completeFunctions,
		RunE: func(cmd *cobra.Command, args []string) error { return e.invoke(cmd, args[0], f) },
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.method, "method", "X", "", "method (default: the route's first)")
	fl.StringVar(&f.path, "path", "", "path with query (default: the route's)")
	fl.StringVarP(&f.body, "body", "d", "", "body of the request")
	fl.StringArrayVarP(&f.headers, "header", "H", nil, "a header, 'name: value'; may be repeated")
	fl.DurationVar(&f.timeout, "timeout", 30*time.Second, "of the call")
	fl.StringVar(&f.sign, "sign", "", "sign the request as this consumer, with the secret in $"+signingSecret)
	return cmd
}

func (e *env) invoke(cmd *cobra.Command, name string, f invokeFlags) error {
	c, err := e.connect()
	if err != nil {
		return err
	}
	var fn app.Function
	if err := c.do(cmd.Context(), http.MethodGet, "/functions/"+url.PathEscape(name), nil, nil, &fn); err != nil {
		return err
	}
	req, err := invokeRequest(cmd, c.addresses.Gateway, fn, f)
	if err != nil {
		return invalid(err)
	}
	begin := time.Now()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: f.timeout}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	r := invocation{Status: res.StatusCode, Seconds: time.Since(begin).Seconds(), RequestID: res.Header.Get("x-request-id"), Headers: res.Header, Body: string(b)}
	fmt.Fprintf(e.err, "%s in %.1f ms\n", res.Status, r.Seconds*1000)
	if err := e.print(r, func(w io.Writer) { fmt.Fprintln(w, strings.TrimRight(r.Body, "\n")) }); err != nil {
		return err
	}
	if r.Status >= http.StatusBadRequest {
		return &exitError{code: exitFailed}
	}
	return nil
}

func invokeRequest(cmd *cobra.Command, gateway string, fn app.Function, f invokeFlags) (*http.Request, error) {
	route := fn.Function.Spec.Routes[0]
	path, err := app.ConcretePath(route, f.path)
	if err != nil {
		return nil, err
	}
	method := f.method
	if method == "" {
		method = http.MethodGet
		if len(route.Methods) > 0 {
			method = route.Methods[0]
		}
	}
	req, err := http.NewRequestWithContext(cmd.Context(), method, "http://"+gateway+path, strings.NewReader(f.body))
	if err != nil {
		return nil, err
	}
	if host := app.ConcreteHost(route); host != "" {
		req.Host = host
	}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, fmt.Errorf("header %q: want 'name: value'", h)
		}
		req.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return req, f.signed(req)
}
