package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
)

func (e *env) callsSQLCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "sql QUERY", Short: "one SELECT in ClickHouse's SQL, as a reader",
		Long: `SQL asks ClickHouse as a user that reads the call tables of its tenants, and
nothing else. QUERY - is read from standard input. Rows are printed as they come:
an export of any size needs no memory. Ctrl-C cancels the query in ClickHouse.

The tables: calls, calls_10s, calls_1m, calls_1h; their columns: docs/reference/calls.md.`,
		Example: `  kongdao calls sql 'SELECT function, count() AS n FROM calls GROUP BY function ORDER BY n DESC'
  kongdao calls sql 'SELECT * FROM calls WHERE ts >= now() - INTERVAL 1 DAY' --format csv > calls.csv`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if e.output == "json" && !cmd.Flags().Changed("format") {
				format = "json"
			}
			return e.sql(cmd.Context(), args[0], format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json (an object a line), csv or tsv")
	return cmd
}

func (e *env) sql(ctx context.Context, query, format string) error {
	write, wire := copyRows, format
	switch format {
	case "table":
		write, wire = tableRows, "tsv"
	case "json", "csv", "tsv":
	default:
		return invalid(fmt.Errorf("--format %s: want table, json, csv or tsv", format))
	}
	if query == "-" {
		b, err := io.ReadAll(e.in)
		if err != nil {
			return fmt.Errorf("read the query: %w", err)
		}
		query = string(b)
	}
	c, err := e.connect()
	if err != nil {
		return err
	}
	res, err := c.stream(ctx, http.MethodPost, "/sql", nil, app.SQLQuery{Query: query, Format: wire})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := write(e.out, res.Body); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if text := res.Trailer.Get(app.TrailerError); text != "" {
		return errors.New("the answer is not whole: " + text)
	}
	fmt.Fprintf(e.err, "%s rows, %s rows read\n", cmp.Or(res.Trailer.Get(app.TrailerRows), "?"), cmp.Or(res.Trailer.Get(app.TrailerRowsRead), "?"))
	return nil
}

func copyRows(w io.Writer, r io.Reader) error {
	_, err := io.Copy(w, r)
	return err
}

// tableChunk is how many lines are aligned with each other, because a table of any
// length must not need memory for all of it.
const tableChunk = 1000

// tableRows aligns tab separated lines.
func tableRows(w io.Writer, r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if line != "" {
			fmt.Fprintln(t, strings.TrimRight(line, "\n"))
		}
		if errors.Is(err, io.EOF) {
			return t.Flush()
		}
		if err != nil {
			return errors.Join(err, t.Flush())
		}
		if n%tableChunk == 0 {
			if err := t.Flush(); err != nil {
				return err
			}
		}
	}
}
