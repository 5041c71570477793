package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/spf13/cobra"
)

// listedSilence is a silence with what it silences now.
type listedSilence struct {
	*models.GettableSilence
	Alerts int
}

// MarshalJSON adds the number to what Alertmanager says.
func (l listedSilence) MarshalJSON() ([]byte, error) {
	text, err := l.GettableSilence.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return append(text[:len(text)-1], fmt.Sprintf(`,"alerts":%d}`, l.Alerts)...), nil
}

func (e *env) alertSilencesCommand() *cobra.Command {
	var pick selection
	ended := false
	cmd := &cobra.Command{
		Use: "silences [MATCHER…]", Short: "silences, and how many alerts each keeps quiet",
		Long:              "Silences prints those that hold or are to come, the next to end first. Matchers pick silences that would silence alerts with those labels.",
		Example:           "  kongdao alert silences\n  kongdao alert silences zone=zb-b --ended -o json",
		ValidArgsFunction: e.completeMatchers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := pick.parse(args); err != nil {
				return err
			}
			c, err := e.connect()
			if err != nil {
				return err
			}
			silences, err := c.silences(cmd.Context(), &pick, ended)
			if err != nil {
				return err
			}
			alerts, err := c.alerts(cmd.Context(), &selection{}, "", false)
			if err != nil {
				return err
			}
			list := []listedSilence{}
			for _, s := range silences {
				l := listedSilence{GettableSilence: s}
				for _, a := range alerts {
					if slices.Contains(a.Status.SilencedBy, *s.ID) {
						l.Alerts++
					}
				}
				list = append(list, l)
			}
			return e.print(list, func(w io.Writer) { writeSilences(w, list) })
		},
	}
	cmd.Flags().StringVar(&pick.function, "function", "", "of this function alone")
	cmd.Flags().BoolVar(&ended, "ended", false, "also those that are over, for five days")
	e.completeFunctionFlag(cmd)
	return cmd
}

// silences are those that hold or are to come, and those that are over if ended says
// so, the next to end first.
func (c *client) silences(ctx context.Context, pick *selection, ended bool) (models.GettableSilences, error) {
	all := models.GettableSilences{}
	if err := c.alertmanager(ctx, http.MethodGet, "/silences", pick.filter(), nil, &all); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(s *models.GettableSilence) bool {
		return !ended && *s.Status.State == models.SilenceStatusStateExpired
	})
	slices.SortStableFunc(all, func(a, b *models.GettableSilence) int {
		return time.Time(*a.EndsAt).Compare(time.Time(*b.EndsAt))
	})
	return all, nil
}

func writeSilences(w io.Writer, list []listedSilence) {
	if len(list) == 0 {
		fmt.Fprintln(w, "nothing is silenced")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTATE\tUNTIL\tBY\tALERTS\tMATCHERS\tCOMMENT")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", *s.ID, *s.Status.State, clock(time.Time(*s.EndsAt)), *s.CreatedBy, s.Alerts, typed(s.Matchers), *s.Comment)
	}
	_ = t.Flush()
}

func (e *env) alertExpireCommand() *cobra.Command {
	return &cobra.Command{
		Use: "expire ID…", Short: "end silences now",
		Long:    "Expire ends silences, so that their alerts are told again. The beginning of an ID is enough where no other silence has it.",
		Example: "  kongdao alert expire 5f2c\n  kongdao alert expire $(kongdao alert silences zone=zb-b -o json | jq -r '.[].id')",
		Args:    usage(cobra.MinimumNArgs(1)), ValidArgsFunction: e.completeSilences,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			all, err := c.silences(cmd.Context(), &selection{}, true)
			if err != nil {
				return err
			}
			found := make([]*models.GettableSilence, len(args))
			var errs []error
			for i, id := range args {
				found[i], err = silenceOf(all, id)
				errs = append(errs, err)
			}
			if err := errors.Join(errs...); err != nil { // all or none
				return err
			}
			ids := []string{}
			for _, s := range found {
				if err := c.alertmanager(cmd.Context(), http.MethodDelete, "/silence/"+url.PathEscape(*s.ID), nil, nil, nil); err != nil {
					return err
				}
				ids = append(ids, *s.ID)
			}
			return e.print(map[string][]string{"expired": ids}, func(w io.Writer) {
				for _, s := range found {
					fmt.Fprintf(w, "ended %s: %s\n", *s.ID, typed(s.Matchers))
				}
			})
		},
	}
}

// silenceOf finds the silence that holds or is to come by the beginning of its ID.
func silenceOf(all models.GettableSilences, id string) (*models.GettableSilence, error) {
	var found []*models.GettableSilence
	var over *models.GettableSilence
	for _, s := range all {
		switch {
		case !strings.HasPrefix(*s.ID, id):
		case *s.Status.State == models.SilenceStatusStateExpired:
			over = s
		default:
			found = append(found, s)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, invalid(fmt.Errorf("%s: %d silences begin so: write more of it", id, len(found)))
	case over != nil:
		return nil, fmt.Errorf("%s: is over since %s", *over.ID, clock(time.Time(*over.EndsAt)))
	}
	return nil, fmt.Errorf("%s: there is no such silence; kongdao alert silences lists them", id)
}
