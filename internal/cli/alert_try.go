package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
)

func (e *env) alertTestCommand() *cobra.Command {
	var robot string
	route := false
	cmd := &cobra.Command{
		Use: "test ROBOT | test --route LABEL=VALUE…", Short: "send a test message to a robot, or say which way an alert would go",
		Long: `Test sends a message right away, past grouping and outbox, and fails unless the robot
took it.

With --route nothing is sent: it says which routes of the configuration an alert with
these labels takes, by Alertmanager's own code, whom it reaches, under which mark, and
what keeps it from being told now.`,
		Example: `  kongdao alert test on-call
  kongdao alert test --route alertname=ZoneDown zone=zb-b severity=page`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if route {
				return e.completeMatchers(cmd, args, begun)
			}
			return e.completeRobots(cmd, args, begun)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case route && robot != "":
				return invalid(errors.New("--route sends nothing: leave --robot away"))
			case route:
				return e.testRoute(cmd.Context(), args)
			case robot != "":
				args = append(args, robot)
			}
			if len(args) != 1 {
				return invalid(errors.New("kongdao alert test: name one robot; see kongdao alert test --help"))
			}
			return e.testRobot(cmd.Context(), args[0])
		},
	}
	cmd.Flags().BoolVar(&route, "route", false, "say which way an alert with these labels would go; send nothing")
	cmd.Flags().StringVar(&robot, "robot", "", "the robot, instead of an argument")
	_ = cmd.RegisterFlagCompletionFunc("robot", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return e.completeRobots(cmd, nil, begun)
	})
	return cmd
}

func (e *env) testRobot(ctx context.Context, robot string) error {
	c, err := e.connect()
	if err != nil {
		return err
	}
	if err := c.do(ctx, http.MethodPost, "/robots/"+url.PathEscape(robot)+"/test", nil, nil, nil); err != nil {
		return err
	}
	return e.print(map[string]string{"robot": robot, "result": "sent"}, func(w io.Writer) {
		fmt.Fprintf(w, "the robot %s took a test message\n", robot)
	})
}

func (e *env) testRoute(ctx context.Context, labels []string) error {
	if len(labels) == 0 {
		return invalid(errors.New("--route: name the alert's labels, such as alertname=ZoneDown zone=zb-b severity=page"))
	}
	c, err := e.connect()
	if err != nil {
		return err
	}
	if c.addresses.Alertmanager == "" {
		return errNoAlerting
	}
	var routes app.AlertRoutes
	if err := c.do(ctx, http.MethodGet, "/alerts/routes", url.Values{"label": labels}, nil, &routes); err != nil {
		return err
	}
	return e.print(routes, func(w io.Writer) { writeRoutes(w, routes) })
}

func writeRoutes(w io.Writer, all app.AlertRoutes) {
	for _, r := range all.Routes {
		fmt.Fprintf(w, "%s  %s\n", r.Mark, receiverText(r.Receiver, r.Channel))
		fmt.Fprintf(w, "  route     %s\n", r.Route)
		fmt.Fprintf(w, "  told with others of the same %s\n", orNothing(strings.Join(r.GroupBy, ", ")))
		fmt.Fprintf(w, "  waits     %s for company, %s between changes, repeats every %s\n", r.GroupWait, r.GroupInterval, r.RepeatInterval)
		if len(r.Mute) > 0 {
			fmt.Fprintf(w, "  not while %s\n", strings.Join(r.Mute, ", "))
		}
		if len(r.Active) > 0 {
			fmt.Fprintf(w, "  only in   %s\n", strings.Join(r.Active, ", "))
		}
	}
	for _, id := range all.SilencedBy {
		fmt.Fprintf(w, "silenced now by %s\n", id)
	}
	for _, id := range all.InhibitedBy {
		fmt.Fprintf(w, "inhibited now by the alert %s\n", id)
	}
}

func orNothing(s string) string {
	if s == "" {
		return "nothing: all alerts of the route"
	}
	return s
}
