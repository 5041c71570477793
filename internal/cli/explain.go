package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/registry"
	"github.com/kongdao/kongdao/xds/explain"
)

type explainFlags struct {
	headers              []string
	gateway, group, zone string
	client, resources    string
	live                 bool
}

func (e *env) explainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain METHOD URL",
		Short: "what the gateway does with a request",
		Long: `Explain says which route takes a request, what acts on it, which limit it falls
under and which revision, zone and pods may get it, at this moment, in the
running system, with the line of the file that the route is written in.

With --resources it says that of a folder that is not applied, and no system needs
to run: all pods of the folder are ready then, one gateway takes calls, nothing is
drained, and keys of consumers are read as kongdao up would read them here. With
--live-pods too, the pods that are ready, the zones that are drained and the gateways
are those of the running system; pods that it does not know count as ready.
Problems of the folder are printed as kongdao check does, with exit code 2.`,
		Example: `  kongdao explain GET http://api.example.com/recommend/feed
  kongdao explain GET http://api.example.com/recommend/feed -H 'x-gray: 1' -o json
  kongdao explain GET http://api.example.com/recommend/feed --resources new/`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error { return e.explain(cmd.Context(), args, f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.client, "client", "", "address that the request comes from (default: one that is let in)")
	fl.StringArrayVarP(&f.headers, "header", "H", nil, "a header of the request, 'name: value'; may be repeated")
	fl.StringVar(&f.gateway, "gateway", "", "as this connected gateway sees it; see kongdao gateway list")
	fl.StringVar(&f.group, "group", "", "as the gateways of this GatewayGroup see it (default: default)")
	fl.StringVar(&f.zone, "zone", "", "as gateways in this zone see it (default: all together)")
	fl.StringVar(&f.resources, "resources", "", "explain this folder of resources, which need not be applied")
	fl.BoolVar(&f.live, "live-pods", false, "with --resources: pods, zones and gateways as in the running system")
	return cmd
}

func (e *env) explain(ctx context.Context, args []string, f explainFlags) error {
	r, err := explain.ParseRequest(args[0], args[1], f.headers)
	if err != nil {
		return invalid(err)
	}
	if f.client != "" {
		if r.Client, err = netip.ParseAddr(f.client); err != nil {
			return invalid(fmt.Errorf("--client %s: want an IP address", f.client))
		}
	}
	if f.live && f.resources == "" {
		return invalid(errors.New("--live-pods: want --resources; without it the running system is explained"))
	}
	var a explain.Answer
	if f.resources != "" {
		r.From = explain.Place{Group: f.group, Zone: f.zone}
		a, err = e.explainFolder(ctx, args, r, f)
	} else {
		a, err = e.explainLive(ctx, args, f)
	}
	if err != nil {
		return err
	}
	return e.print(a, func(w io.Writer) { fmt.Fprint(w, a.For(r).Text()) })
}

func (e *env) explainFolder(ctx context.Context, args []string, r explain.Request, f explainFlags) (a explain.Answer, err error) {
	if f.gateway != "" {
		return a, invalid(errors.New("--gateway: no gateway is connected to a folder; want --group and --zone"))
	}
	set, problems := registry.Load(f.resources)
	if len(problems) > 0 {
		return a, problems
	}
	if f.live {
		return e.explainWithPods(ctx, args, f)
	}
	a, doubts, err := app.ExplainOffline(set, r)
	if err != nil {
		return a, invalid(err)
	}
	if doubts != "" && a.Error != "" { // they may be why
		fmt.Fprintln(e.err, doubts)
	}
	return a, nil
}

func (e *env) explainWithPods(ctx context.Context, args []string, f explainFlags) (a explain.Answer, err error) {
	c, err := e.connect()
	if err != nil {
		return a, err
	}
	q := app.ExplainRequest{Method: args[0], URL: args[1], Header: f.headers, Client: f.client, Group: f.group, Zone: f.zone}
	var problems api.Problems
	if q.Folder, problems = registry.ReadFolder(f.resources); len(problems) > 0 {
		return a, problems
	}
	var answer app.Explained
	if err := c.do(ctx, http.MethodPost, "/explain", nil, q, &answer); err != nil {
		return a, err
	}
	if len(answer.Problems) > 0 {
		return a, answer.Problems
	}
	for _, doubt := range answer.Doubts {
		if answer.Answer.Error != "" { // it may be why
			fmt.Fprintln(e.err, doubt)
		}
	}
	return answer.Answer, nil
}

func (e *env) explainLive(ctx context.Context, args []string, f explainFlags) (a explain.Answer, err error) {
	c, err := e.connect()
	if err != nil {
		return a, err
	}
	query := url.Values{
		"method": {args[0]}, "url": {args[1]}, "header": f.headers,
		"gateway": {f.gateway}, "group": {f.group}, "zone": {f.zone}, "client": {f.client},
	}
	return a, c.do(ctx, http.MethodGet, "/explain", query, nil, &a)
}
