package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/dashboards"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/registry"
)

func (e *env) dashboardsCommand() *cobra.Command {
	return group("dashboards", "Grafana dashboards", e.dashboardsExportCommand(), e.dashboardsCheckCommand())
}

func (e *env) dashboardsExportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export DIR",
		Short: "write the dashboards and Grafana's provisioning",
		Long: `Export writes the dashboards, a data source and a dashboard provider below DIR.
Files that are there already are replaced. The data source reads address and
password from Grafana's environment; deploy/grafana says which names.`,
		Example: "  kongdao dashboards export deploy/grafana",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := dashboards.Files()
			if err != nil {
				return err
			}
			if err := dashboards.Write(args[0]); err != nil {
				return err
			}
			written := make([]string, len(files))
			for i, f := range files {
				written[i] = filepath.Join(args[0], filepath.FromSlash(f.Path))
			}
			return e.print(map[string][]string{"files": written}, func(w io.Writer) {
				for _, name := range written {
					fmt.Fprintln(w, name)
				}
			})
		},
		ValidArgsFunction: completeDirs,
	}
}

// dashboardsResult is what dashboards check prints with -o json.
type dashboardsResult struct {
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"`
	Queries  int      `json:"queries"` // that were looked at
	Ran      bool     `json:"ran"`     // whether they were run, too
}

func (e *env) dashboardsCheckCommand() *cobra.Command {
	var dsn string
	cmd := &cobra.Command{
		Use:   "check [DIR]",
		Short: "are the dashboards, and the files in DIR, right?",
		Long: `Check looks at every panel: title, description, unit, data source, links, and
that its queries name only what exists. With DIR it also compares what was
exported there with what this version would write. With --clickhouse it runs
every query on that server, for the last hour; rows are not needed.

Exit code 0 when nothing is wrong, 3 otherwise.`,
		Example: "  kongdao dashboards check deploy/grafana\n" +
			"  kongdao dashboards check --clickhouse 'clickhouse://grafana:${env:PASSWORD}@ch.example.com:9000/kongdao'",
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := checkDashboards(cmd.Context(), args, dsn)
			if err != nil {
				return err
			}
			if err := e.print(r, r.text); err != nil {
				return err
			}
			if !r.OK {
				return refused(nil)
			}
			return nil
		},
		ValidArgsFunction: completeDirs,
	}
	cmd.Flags().StringVar(&dsn, "clickhouse", "", "run every query there: clickhouse://user:${env:NAME}@host:port/database")
	return cmd
}

func completeDirs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

func (r dashboardsResult) text(w io.Writer) {
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
	}
	if !r.OK {
		return
	}
	ran := "not run: no --clickhouse"
	if r.Ran {
		ran = "all run"
	}
	fmt.Fprintf(w, "%d queries, %s\nnothing wrong\n", r.Queries, ran)
}

func checkDashboards(ctx context.Context, dirs []string, dsn string) (dashboardsResult, error) {
	r := dashboardsResult{Problems: []string{}}
	all, err := dashboards.All()
	if err != nil {
		return r, err
	}
	for _, d := range all {
		r.Problems = append(r.Problems, dashboards.Lint(d)...)
		r.Queries += len(d.Queries())
	}
	for _, dir := range dirs {
		stale, err := staleFiles(dir)
		if err != nil {
			return r, err
		}
		r.Problems = append(r.Problems, stale...)
	}
	if dsn != "" {
		failed, err := tryQueries(ctx, dsn, all)
		if err != nil {
			return r, err
		}
		r.Problems, r.Ran = append(r.Problems, failed...), true
	}
	r.OK = len(r.Problems) == 0
	return r, nil
}

// staleFiles are those in dir that export would write otherwise.
func staleFiles(dir string) ([]string, error) {
	files, err := dashboards.Files()
	if err != nil {
		return nil, err
	}
	var stale []string
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Path))
		text, err := os.ReadFile(name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			stale = append(stale, name+": is missing; run kongdao dashboards export "+dir)
		case err != nil:
			return nil, err
		case !bytes.Equal(text, f.Text):
			stale = append(stale, name+": differs from what this version writes; run kongdao dashboards export "+dir)
		}
	}
	return stale, nil
}

// tryQueries runs every query on the server and says which ones it refuses.
func tryQueries(ctx context.Context, dsn string, all []dashboards.Dashboard) (failed []string, err error) {
	dsn, err = registry.Resolve(api.Secret(dsn))
	if err != nil {
		return nil, invalid(fmt.Errorf("--clickhouse: %w", err))
	}
	o, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, invalid(fmt.Errorf("--clickhouse: %w", err))
	}
	c, err := clickhouse.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return dashboards.Try(ctx, c, all)
}
